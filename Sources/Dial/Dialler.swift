import CoppiceNames
import CoppiceShared
import CoppiceSystem
import CoppiceTLS

/// Makes a connection: looks the host up, connects to its addresses in turn, shakes hands over TLS where it is asked for; endpoint after
/// endpoint until one answers. Each step has its deadline.
///
/// Starts when made; look at `outcome` before waiting, and after each call.
public final class Dialler: Pollable {
    /// Seconds for a look-up, for each address, and for the TLS handshake.
    public static let timeout = 4.0

    public enum Outcome {
        /// Connected, TLS included. The stream is the owner's.
        case ready(any ByteStream, endpoint: Int)
        /// None answered: why, one line.
        case failed(String)
    }

    public private(set) var outcome: Outcome?

    private enum State {
        case idle
        case lookingUp(HostLookup)
        case connecting(StreamSocket, rest: [SocketAddress])
        case shakingHands(TLSStream)
    }

    public let endpoints: [StreamEndpoint]
    /// The endpoint that is being tried.
    private var current = 0
    private var state = State.idle
    private var stepDeadline: MonotonicTime
    private var failures: [String] = []

    public init(_ endpoints: [StreamEndpoint], now: MonotonicTime) {
        self.endpoints = endpoints
        stepDeadline = now.advanced(by: Dialler.timeout)
        if endpoints.isEmpty { outcome = .failed("no server is named") } else { begin(now: now) }
    }

    /// Gives up; nothing is left open.
    public func close() {
        switch state {
        case .connecting(let socket, _): socket.close()
        case .shakingHands(let stream): stream.close()
        case .idle, .lookingUp: break
        }
        state = .idle
        if outcome == nil { outcome = .failed("closed") }
    }

    // MARK: Pollable

    public var interests: [PollInterest] {
        switch state {
        case .idle: []
        case .lookingUp(let lookup): lookup.interests
        case .connecting(let socket, _): [PollInterest(descriptor: socket.raw, events: .write, serial: socket.serial)]
        case .shakingHands(let stream): [stream.interest]
        }
    }

    public var deadline: MonotonicTime? {
        switch state {
        case .idle: nil
        case .lookingUp(let lookup): lookup.deadline.map { min($0, stepDeadline) } ?? stepDeadline
        case .connecting, .shakingHands: stepDeadline
        }
    }

    public func ready(_ descriptor: Int32, _ happened: PollEvents, now: MonotonicTime) {
        switch state {
        case .idle: break
        case .lookingUp(let lookup):
            lookup.ready(descriptor, happened, now: now)
            check(lookup, now: now)
        case .connecting(let socket, let rest):
            do {
                try socket.finishConnecting()
                connected(socket, now: now)
            } catch {
                socket.close()
                connect(rest, failure: "\(error)", now: now)
            }
        case .shakingHands(let stream): shakeHands(stream, now: now)
        }
    }

    public func expired(now: MonotonicTime) {
        switch state {
        case .idle: break
        case .lookingUp(let lookup):
            lookup.expired(now: now)
            check(lookup, now: now)
            if case .lookingUp = state, stepDeadline <= now { next("the look-up of the host's name took too long", now: now) }
        case .connecting(let socket, let rest):
            guard stepDeadline <= now else { return }
            socket.close()
            connect(rest, failure: "no answer to the connection attempt", now: now)
        case .shakingHands(let stream):
            guard stepDeadline <= now else { return }
            stream.close()
            next("the server accepts connections but does not answer the TLS handshake: does it speak TLS on this port?", now: now)
        }
    }

    // MARK: steps

    private func begin(now: MonotonicTime) {
        stepDeadline = now.advanced(by: Dialler.timeout)
        switch endpoints[current].place {
        case .unix(let path):
            if let address = SocketAddress.unix(path) {
                connect([address], failure: "", now: now)
            } else {
                next("the socket's path is too long: \(path)", now: now)
            }
        case .tcp(let host, let port):
            let lookup = HostLookup(host: host, port: port)
            state = .lookingUp(lookup)
            check(lookup, now: now)
        }
    }

    private func check(_ lookup: HostLookup, now: MonotonicTime) {
        switch lookup.outcome {
        case .none: break
        case .success(let addresses): connect(addresses, failure: "the host has no address", now: now)
        case .failure(let error): next("\(error)", now: now)
        }
    }

    /// Connects to the first of the addresses that lets itself be tried; `failure` is why there is none.
    private func connect(_ addresses: [SocketAddress], failure: String, now: MonotonicTime) {
        var failure = failure
        var rest = addresses[...]
        while let address = rest.popFirst() {
            stepDeadline = now.advanced(by: Dialler.timeout)
            do {
                let socket = try StreamSocket(connectingTo: address)
                if socket.isConnected {
                    connected(socket, now: now)
                } else {
                    state = .connecting(socket, rest: Array(rest))
                }
                return
            } catch {
                failure = "\(error)"
            }
        }
        next(failure, now: now)
    }

    private func connected(_ socket: StreamSocket, now: MonotonicTime) {
        guard case .tcp(let host, _) = endpoints[current].place, let settings = endpoints[current].tls else {
            finish(socket)
            return
        }
        stepDeadline = now.advanced(by: Dialler.timeout)
        do {
            let stream = try TLSStream(over: socket, host: host, settings: settings)
            state = .shakingHands(stream)
            shakeHands(stream, now: now)
        } catch {
            socket.close()
            next("\(error)", now: now)
        }
    }

    private func shakeHands(_ stream: TLSStream, now: MonotonicTime) {
        do {
            try stream.flush()
            if try stream.handshake() { finish(stream) }
        } catch {
            stream.close()
            next("\(error)", now: now)
        }
    }

    private func finish(_ stream: any ByteStream) {
        state = .idle
        outcome = .ready(stream, endpoint: current)
    }

    /// This endpoint has failed: on to the next, or to the end.
    private func next(_ reason: String, now: MonotonicTime) {
        state = .idle
        failures.append(endpoints.count > 1 ? "\(endpoints[current]): \(reason)" : reason)
        guard current + 1 < endpoints.count else {
            outcome = .failed(failures.joined(separator: "; "))
            return
        }
        current += 1
        begin(now: now)
    }
}
