import CoppiceNames
import CoppiceShared
import CoppiceSystem

/// One connection to a Redis: looked up, connected, authenticated; commands go out in order, replies come back in order.
///
/// Every reply has a deadline: a server that has gone silent is a lost connection. The connection never blocks; what it has to say
/// is fetched with `takeReplies`.
public final class RedisConnection: Pollable {
    /// Seconds for the look-up, the connect and the greeting, each.
    public static let connectTimeout = 4.0
    /// Seconds in which a command must be answered.
    public static let replyTimeout = 5.0

    public enum Event: Sendable {
        /// Authenticated and on its database.
        case open
        /// The reply to the oldest command without one, with the label that the command was sent with; or, in push mode, a message
        /// (label -1).
        case reply(label: Int, RedisValue)
        /// Over. Last.
        case lost(String)
    }

    /// The label of messages that answer no command.
    public static let pushLabel = -1

    private enum State {
        case lookingUp(HostLookup)
        case connecting(StreamSocket, rest: [SocketAddress])
        case greeting(StreamSocket)
        case open(StreamSocket)
        case closed
    }

    private let url: RedisURL
    private let clientName: String
    private let reader: RedisReplyReader?
    private var state: State = .closed
    private var stepDeadline: MonotonicTime?
    private var events: [Event] = []
    /// Labels and deadlines of the commands that wait for their replies.
    private var waiting: [(label: Int, deadline: MonotonicTime)] = []
    private var waitingStart = 0
    private var greetingsLeft = 0
    /// Connection attempts so far; the look-up's descriptors have serial 0.
    private var attempts = 0
    /// After SUBSCRIBE: pub/sub messages arrive between replies.
    private var isSubscribed = false

    /// Begins to connect.
    public init(_ url: RedisURL, clientName: String, now: MonotonicTime) {
        self.url = url
        self.clientName = clientName
        reader = RedisReplyReader()
        stepDeadline = now.advanced(by: RedisConnection.connectTimeout)
        guard reader != nil else {
            lose("no memory for a reply reader")
            return
        }
        switch url.endpoint {
        case .unix(let path):
            if let address = SocketAddress.unix(path) { connect([address]) } else { lose("the socket's path is too long: \(path)") }
        case .tcp(let host, let port):
            let lookup = HostLookup(host: host, port: port)
            state = .lookingUp(lookup)
            checkLookup(lookup)
        }
    }

    public func takeEvents() -> [Event] {
        defer { events.removeAll(keepingCapacity: true) }
        return events
    }

    public var isOpen: Bool { if case .open = state { true } else { false } }

    /// Queues a command; `flush` sends it. Its reply comes as `.reply` with the label, which is not negative.
    public func send(_ command: RedisCommand, label: Int, now: MonotonicTime) {
        guard let socket else { return }
        socket.enqueue { command.write(to: &$0) }
        waiting.append((label, now.advanced(by: RedisConnection.replyTimeout)))
    }

    /// From here on messages may arrive that answer no command. `command` is a SUBSCRIBE or PSUBSCRIBE with one channel.
    public func subscribe(_ command: RedisCommand, label: Int, now: MonotonicTime) {
        isSubscribed = true
        send(command, label: label, now: now)
    }

    /// Hands the queued commands to the kernel.
    public func flush() {
        guard let socket else { return }
        do { try socket.flush() } catch { lose("\(error)") }
    }

    public func close() {
        socket?.close()
        state = .closed
    }

    // MARK: Pollable

    public var interests: [PollInterest] {
        switch state {
        case .lookingUp(let lookup): return lookup.interests
        case .connecting(let socket, _): return [PollInterest(descriptor: socket.raw, events: .write, serial: attempts)]
        case .greeting(let socket), .open(let socket):
            return [PollInterest(descriptor: socket.raw, events: socket.hasBacklog ? [.read, .write] : .read, serial: attempts)]
        case .closed: return []
        }
    }

    public var deadline: MonotonicTime? {
        switch state {
        case .lookingUp(let lookup): [stepDeadline, lookup.deadline].compactMap { $0 }.min()
        case .connecting, .greeting: stepDeadline
        case .open: waitingStart < waiting.count ? waiting[waitingStart].deadline : nil
        case .closed: nil
        }
    }

    public func ready(_ descriptor: Int32, _ happened: PollEvents, now: MonotonicTime) {
        switch state {
        case .lookingUp(let lookup):
            lookup.ready(descriptor, happened, now: now)
            checkLookup(lookup)
        case .connecting(let socket, let rest):
            do {
                try socket.finishConnecting()
                greet(socket, now: now)
            } catch {
                if rest.isEmpty { lose("\(error)") } else { connect(rest) }
            }
        case .greeting(let socket), .open(let socket):
            if happened.contains(.read) || happened.contains(.hangup) { receive(socket, now: now) }
            if happened.contains(.write) {
                // It was full and takes more now: a server that reads a long command is not silent.
                if waitingStart < waiting.count { waiting[waitingStart].deadline = now.advanced(by: RedisConnection.replyTimeout) }
                flush()
            }
        case .closed: break
        }
    }

    public func expired(now: MonotonicTime) {
        switch state {
        case .lookingUp(let lookup):
            lookup.expired(now: now)
            checkLookup(lookup)
            if case .lookingUp = state, let stepDeadline, stepDeadline <= now { lose("the look-up of the host's name took too long") }
        case .connecting(_, let rest):
            if let stepDeadline, stepDeadline <= now {
                self.stepDeadline = now.advanced(by: RedisConnection.connectTimeout)
                if rest.isEmpty { lose("no answer to the connection attempt") } else { connect(rest) }
            }
        case .greeting:
            if let stepDeadline, stepDeadline <= now { lose("the server accepts connections but does not answer") }
        case .open:
            // The master may have been stopped itself: what has arrived meanwhile counts before the deadline does.
            if let socket { receive(socket, now: now) }
            if let deadline, deadline <= now, case .open = state {
                lose("no reply within \(Int(RedisConnection.replyTimeout)) seconds: the connection has gone silent")
            }
        case .closed: break
        }
    }

    // MARK: steps

    private var socket: StreamSocket? {
        switch state {
        case .connecting(let socket, _), .greeting(let socket), .open(let socket): socket
        case .lookingUp, .closed: nil
        }
    }

    private func checkLookup(_ lookup: HostLookup) {
        switch lookup.outcome {
        case .none: break
        case .success(let addresses): connect(addresses)
        case .failure(let error): lose("\(error)")
        }
    }

    private func connect(_ addresses: [SocketAddress]) {
        guard let address = addresses.first else {
            lose("the host has no address")
            return
        }
        let rest = Array(addresses.dropFirst())
        attempts += 1
        do {
            let socket = try StreamSocket(connectingTo: address)
            if socket.isConnected { greet(socket, now: .now) } else { state = .connecting(socket, rest: rest) }
        } catch {
            if rest.isEmpty { lose("\(error)") } else { connect(rest) }
        }
    }

    private func greet(_ socket: StreamSocket, now: MonotonicTime) {
        state = .greeting(socket)
        stepDeadline = now.advanced(by: RedisConnection.connectTimeout)
        if let password = url.password {
            var command = RedisCommand("AUTH")
            if let user = url.user { command.append(user) }
            command.append(password)
            send(command, label: 0, now: now)
        }
        if url.database != 0 { send(RedisCommand("SELECT", String(url.database)), label: 1, now: now) }
        send(RedisCommand("PING"), label: 2, now: now)
        send(RedisCommand("CLIENT", "SETNAME", clientName), label: 3, now: now)
        greetingsLeft = waiting.count
        flush()
    }

    private func receive(_ socket: StreamSocket, now: MonotonicTime) {
        guard let reader else { return }
        do {
            // Bounded per call, so that one busy connection does not hold the loop.
            for _ in 0..<16 {
                switch try socket.read(upTo: 1 << 17) {
                case .wouldBlock: return
                case .end:
                    lose("the server closed the connection")
                    return
                case .bytes(let bytes):
                    // Bytes of a long reply are an answer, too.
                    if waitingStart < waiting.count { waiting[waitingStart].deadline = now.advanced(by: RedisConnection.replyTimeout) }
                    try reader.feed(bytes)
                    while let value = try reader.next() {
                        accept(value, now: now)
                        if case .closed = state { return }
                    }
                    if bytes.count < 1 << 17 { return }
                }
            }
        } catch let error as RedisReplyReader.ProtocolError {
            lose("not the Redis protocol: \(error.text)")
        } catch {
            lose("\(error)")
        }
    }

    private func accept(_ value: RedisValue, now: MonotonicTime) {
        if isSubscribed, let parts = value.array, let kind = parts.first?.text, kind == "message" || kind == "pmessage" {
            events.append(.reply(label: RedisConnection.pushLabel, value))
            return
        }
        guard waitingStart < waiting.count else {
            lose("a reply that nothing asked for")
            return
        }
        let label = waiting[waitingStart].label
        waitingStart += 1
        if waitingStart == waiting.count {
            waiting.removeAll(keepingCapacity: true)
            waitingStart = 0
        }
        guard case .greeting(let socket) = state else {
            events.append(.reply(label: label, value))
            return
        }
        // CLIENT SETNAME may be forbidden; nothing depends on it.
        if let error = value.error, label != 3 {
            lose(explain(error))
            return
        }
        greetingsLeft -= 1
        if greetingsLeft == 0 {
            state = .open(socket)
            stepDeadline = nil
            events.append(.open)
        }
    }

    private func explain(_ error: String) -> String {
        if error.hasPrefix("NOAUTH") { return "the server wants a password: put it into the URL or REDIS_PASSWORD" }
        if error.hasPrefix("WRONGPASS") || error.hasPrefix("ERR invalid password") { return "the server refuses the password or the user" }
        if error.hasPrefix("ERR DB index") { return "the server has no database \(url.database)" }
        return error
    }

    private func lose(_ reason: String) {
        guard !events.contains(where: { if case .lost = $0 { true } else { false } }) else { return }
        socket?.close()
        state = .closed
        events.append(.lost(reason))
    }
}
