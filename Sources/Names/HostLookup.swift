import CAres
import CoppiceShared
import CoppiceSystem

/// The look-up of one host's addresses, without blocking: /etc/hosts first, then the name servers.
///
/// Starts when made. A number, a name that /etc/hosts has, and some failures are answered at once, so look at `outcome` before
/// waiting. What goes wrong ends as an outcome, at the latest after `timeout`.
public final class HostLookup: Pollable {
    /// What was found, best address first (RFC 6724), never empty; nil while the look-up goes on.
    public private(set) var outcome: Result<[SocketAddress], LookupError>?

    /// All servers and tries together, in seconds.
    public static let timeout = 4.0

    private let host: String
    private let limit: MonotonicTime
    private var channel: ares_channel?
    private let answer = LookupAnswer()

    public init(host: String, port: UInt16) {
        self.host = host
        limit = MonotonicTime.now.advanced(by: HostLookup.timeout)
        if let address = SocketAddress.numeric(host: host, port: port) {
            outcome = .success([address])
        } else {
            start(port: port)
        }
    }

    deinit { stop() }

    // MARK: Pollable

    public var interests: [PollInterest] {
        guard let channel else { return [] }
        // The answer is a bit set: bit n says that socket n waits to be read, bit n + 16 that it waits to be written.
        var sockets = [ares_socket_t](repeating: -1, count: Int(ARES_GETSOCK_MAXNUM))
        let bits = UInt32(bitPattern: ares_getsock(channel, &sockets, ARES_GETSOCK_MAXNUM))
        return sockets.indices.compactMap { index in
            var events: PollEvents = []
            if bits >> UInt32(index) & 1 != 0 { events.insert(.read) }
            if bits >> UInt32(index + Int(ARES_GETSOCK_MAXNUM)) & 1 != 0 { events.insert(.write) }
            return events.isEmpty ? nil : PollInterest(descriptor: sockets[index], events: events, serial: answer.serial)
        }
    }

    public var deadline: MonotonicTime? {
        guard let channel else { return nil }
        var wait = timeval()
        guard ares_timeout(channel, nil, &wait) != nil else { return limit }
        return min(limit, MonotonicTime.now.advanced(by: Double(wait.tv_sec) + Double(wait.tv_usec) / 1e6))
    }

    public func ready(_ descriptor: Int32, _ events: PollEvents, now: MonotonicTime) {
        guard let channel else { return }
        // An error on a socket is found by reading from it.
        let readable = !events.isDisjoint(with: [.read, .hangup])
        ares_process_fd(channel, readable ? descriptor : -1, events.contains(.write) ? descriptor : -1)
        settle()
    }

    public func expired(now: MonotonicTime) {
        guard let channel else { return }
        // Without a socket it only looks at its timers: sends again, or tries the next server.
        ares_process_fd(channel, -1, -1)
        settle()
        if outcome == nil, now >= limit { end(.failure(LookupError("looking up \(host): no answer from a name server within 4 seconds"))) }
    }

    // MARK: c-ares

    private func start(port: UInt16) {
        guard !host.isEmpty, !host.utf8.contains(0) else { return end(.failure(LookupError("no host name"))) }
        guard AresLibrary.status == ARES_SUCCESS else { return end(failure(AresLibrary.status)) }
        var options = ares_options()
        options.timeout = 1000
        options.tries = 2
        let status = "fb".withCString { order in
            // "Files, then servers"; copied by ares_init_options, which does not write to it.
            options.lookups = UnsafeMutablePointer(mutating: order)
            return ares_init_options(&channel, &options, ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_LOOKUPS)
        }
        guard status == ARES_SUCCESS, let channel else {
            self.channel = nil
            return end(failure(status))
        }
        var hints = ares_addrinfo_hints()
        hints.ai_family = AF_UNSPEC
        hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        hints.ai_flags = Int32(ARES_AI_NUMERICSERV)
        // `answer` is a stored property, and `stop`, at the latest in deinit, destroys the channel and with it the request: the
        // pointer is never used after the object is gone.
        let argument = Unmanaged.passUnretained(answer).toOpaque()
        // c-ares may close a socket and open another under the same number in one call: the serial tells.
        ares_set_socket_callback(
            channel,
            { _, _, argument in
                if let argument { Unmanaged<LookupAnswer>.fromOpaque(argument).takeUnretainedValue().madeSocket() }
                return 0
            }, argument)
        ares_getaddrinfo(
            channel, host, String(port), &hints,
            { argument, status, _, list in
                guard let argument else { return }
                Unmanaged<LookupAnswer>.fromOpaque(argument).takeUnretainedValue().arrived(status, list)
            }, argument)
        settle()
    }

    /// Takes the answer over once it is there. Not done in the callback, where the channel must not be destroyed.
    private func settle() {
        guard outcome == nil, let status = answer.status else { return }
        guard status == ARES_SUCCESS else { return end(failure(status)) }
        end(answer.addresses.isEmpty ? failure(ARES_ENODATA) : .success(answer.addresses))
    }

    private func failure(_ status: Int32) -> Result<[SocketAddress], LookupError> {
        .failure(LookupError("looking up \(host): \(String(cString: ares_strerror(status)))"))
    }

    private func end(_ outcome: Result<[SocketAddress], LookupError>) {
        self.outcome = outcome
        stop()
    }

    private func stop() {
        guard let channel else { return }
        self.channel = nil
        ares_destroy(channel)
    }
}
