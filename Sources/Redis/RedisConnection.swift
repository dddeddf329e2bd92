import CoppiceDial
import CoppiceShared
import CoppiceSystem

/// One connection to a Redis: found, connected, authenticated; commands go out in order, replies come back in order.
///
/// Every reply has a deadline: a server that has gone silent is a lost connection. The connection never blocks; what it has to say
/// is fetched with `takeReplies`.
public final class RedisConnection: Pollable {
    /// Seconds for the greeting; the steps before it have `Dialler.timeout` each.
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
        case asking(SentinelLookup)
        case dialling(Dialler)
        case greeting(any ByteStream)
        case open(any ByteStream)
        case closed
    }

    /// The steps of the greeting, as labels.
    private enum Greeting: Int {
        case authenticate, select, ping, name, role
    }

    private let url: RedisURL
    private let clientName: String
    /// One a server: what one has left half said is not for the next.
    private var reader: RedisReplyReader?
    private var state: State = .closed
    private var stepDeadline: MonotonicTime?
    private var events: [Event] = []
    /// Labels and deadlines of the commands that wait for their replies.
    private var waiting: [(label: Int, deadline: MonotonicTime)] = []
    private var waitingStart = 0
    private var greetingsLeft = 0
    /// The servers that this connection may still try, as numbers in the URL; of those being dialled the first is the next.
    private var candidates: ArraySlice<Int>
    /// Which server it has reached, or which Sentinel told it where to go; and why others were passed by.
    private(set) var server = 0
    private var failures: [String] = []
    /// Where the server is. Of two connections made from one URL it tells whether they have come to the same one.
    public private(set) var endpoint: StreamEndpoint?
    /// After SUBSCRIBE: pub/sub messages arrive between replies.
    private var isSubscribed = false

    /// Begins to connect.
    public init(_ url: RedisURL, clientName: String, now: MonotonicTime) {
        self.url = url
        self.clientName = clientName
        let count = url.servers.count
        let first = url.cursor.first(of: count)
        candidates = url.servers.indices.map { ($0 + first) % count }[...]
        if let sentinel = url.sentinel {
            let lookup = SentinelLookup(url, sentinel, clientName: clientName, now: now)
            state = .asking(lookup)
            check(lookup, now: now)
        } else {
            dial(candidates.map { url.servers[$0].endpoint }, now: now)
        }
    }

    public func takeEvents() -> [Event] {
        defer { events.removeAll(keepingCapacity: true) }
        return events
    }

    public var isOpen: Bool { if case .open = state { true } else { false } }

    /// Queues a command; `flush` sends it. Its reply comes as `.reply` with the label, which is not negative.
    public func send(_ command: RedisCommand, label: Int, now: MonotonicTime) {
        guard let stream else { return }
        stream.enqueue { command.write(to: &$0) }
        waiting.append((label, now.advanced(by: RedisConnection.replyTimeout)))
    }

    /// From here on messages may arrive that answer no command. `command` is a SUBSCRIBE or PSUBSCRIBE with one channel.
    public func subscribe(_ command: RedisCommand, label: Int, now: MonotonicTime) {
        isSubscribed = true
        send(command, label: label, now: now)
    }

    /// Hands the queued commands to the kernel.
    public func flush() {
        guard let stream else { return }
        do { try stream.flush() } catch { broken("\(error)", now: .now) }
    }

    public func close() {
        switch state {
        case .asking(let lookup): lookup.close()
        case .dialling(let dialler): dialler.close()
        case .greeting(let stream), .open(let stream): stream.close()
        case .closed: break
        }
        state = .closed
    }

    /// Closes a connection whose server turned out to be of no use: of several servers, or Sentinels, the next connection begins with
    /// another one.
    public func giveUp() {
        switch state {
        case .open: url.cursor.pass(server, of: url.servers.count)
        // A Sentinel that knows no better than to send us there may have an old view.
        case .dialling, .greeting: if url.sentinel != nil { url.cursor.pass(server, of: url.servers.count) }
        case .asking, .closed: break
        }
        close()
    }

    // MARK: Pollable

    public var interests: [PollInterest] {
        switch state {
        case .asking(let lookup): lookup.interests
        case .dialling(let dialler): dialler.interests
        case .greeting(let stream), .open(let stream): [stream.interest]
        case .closed: []
        }
    }

    public var deadline: MonotonicTime? {
        switch state {
        case .asking(let lookup): lookup.deadline
        case .dialling(let dialler): dialler.deadline
        case .greeting: stepDeadline
        case .open: waitingStart < waiting.count ? waiting[waitingStart].deadline : nil
        case .closed: nil
        }
    }

    public func ready(_ descriptor: Int32, _ happened: PollEvents, now: MonotonicTime) {
        switch state {
        case .asking(let lookup):
            lookup.ready(descriptor, happened, now: now)
            check(lookup, now: now)
        case .dialling(let dialler):
            dialler.ready(descriptor, happened, now: now)
            check(dialler, now: now)
        case .greeting(let stream), .open(let stream):
            if happened.contains(.read) || happened.contains(.hangup) { receive(stream, now: now) }
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
        case .asking(let lookup):
            lookup.expired(now: now)
            check(lookup, now: now)
        case .dialling(let dialler):
            dialler.expired(now: now)
            check(dialler, now: now)
        case .greeting:
            if let stepDeadline, stepDeadline <= now { refuse("the server accepts connections but does not answer", now: now) }
        case .open(let stream):
            // The master may have been stopped itself: what has arrived meanwhile counts before the deadline does.
            receive(stream, now: now)
            if let deadline, deadline <= now, case .open = state {
                lose("no reply within \(Int(RedisConnection.replyTimeout)) seconds: the connection has gone silent")
            }
        case .closed: break
        }
    }

    // MARK: steps

    private var stream: (any ByteStream)? {
        switch state {
        case .greeting(let stream), .open(let stream): stream
        case .asking, .dialling, .closed: nil
        }
    }

    private func check(_ lookup: SentinelLookup, now: MonotonicTime) {
        switch lookup.outcome {
        case .none: break
        case .success(let place):
            server = lookup.answered
            dial([StreamEndpoint(place)], now: now)
        case .failure(let failure): lose("\(failure)")
        }
    }

    private func dial(_ endpoints: [StreamEndpoint], now: MonotonicTime) {
        let dialler = Dialler(endpoints, now: now)
        state = .dialling(dialler)
        check(dialler, now: now)
    }

    private func check(_ dialler: Dialler, now: MonotonicTime) {
        switch dialler.outcome {
        case .none: break
        case .ready(let stream, let index):
            if url.sentinel == nil {
                candidates = candidates.dropFirst(index)
                server = candidates.popFirst() ?? 0
            }
            endpoint = dialler.endpoints[index]
            greet(stream, now: now)
        case .failed(let reason): lose((failures + [reason]).joined(separator: "; "))
        }
    }

    private func greet(_ stream: any ByteStream, now: MonotonicTime) {
        state = .greeting(stream)
        reader = RedisReplyReader()
        guard reader != nil else {
            lose("no memory for a reply reader")
            return
        }
        stepDeadline = now.advanced(by: RedisConnection.connectTimeout)
        // All Sentinels know the same master: who we are there may stand with any of them.
        let identity = url.sentinel == nil ? url.servers[server] : url.servers.first { $0.password != nil } ?? url.servers[0]
        func greet(_ command: RedisCommand, _ step: Greeting) { send(command, label: step.rawValue, now: now) }
        if let password = identity.password {
            var command = RedisCommand("AUTH")
            if let user = identity.user { command.append(user) }
            command.append(password)
            greet(command, .authenticate)
        }
        if url.database != 0 { greet(RedisCommand("SELECT", String(url.database)), .select) }
        greet(RedisCommand("PING"), .ping)
        greet(RedisCommand("CLIENT", "SETNAME", clientName), .name)
        // Where there is a choice, a replica is none.
        if hasChoice { greet(RedisCommand("ROLE"), .role) }
        greetingsLeft = waiting.count
        flush()
    }

    private var hasChoice: Bool { url.sentinel != nil || url.servers.count > 1 }

    /// The server answers, but not as it should: on to the next, or to the end.
    private func refuse(_ reason: String, now: MonotonicTime) {
        guard url.sentinel == nil, !candidates.isEmpty else {
            lose((failures + [hasChoice ? "\(endpoint.map { "\($0): " } ?? "")\(reason)" : reason]).joined(separator: "; "))
            return
        }
        failures.append("\(url.servers[server].endpoint): \(reason)")
        close()
        waiting = []
        waitingStart = 0
        dial(candidates.map { url.servers[$0].endpoint }, now: now)
    }

    private func receive(_ stream: any ByteStream, now: MonotonicTime) {
        guard let reader else { return }
        do {
            // Bounded per call, so that one busy connection does not hold the loop.
            for _ in 0..<16 {
                switch try stream.read(upTo: 1 << 17) {
                case .wouldBlock: return
                case .end:
                    broken("the server closed the connection", now: now)
                    return
                case .bytes(let bytes):
                    // Bytes of a long reply are an answer, too.
                    if waitingStart < waiting.count { waiting[waitingStart].deadline = now.advanced(by: RedisConnection.replyTimeout) }
                    try reader.feed(bytes)
                    while let value = try reader.next() {
                        accept(value, now: now)
                        // Over, or on to another server.
                        guard self.stream === stream else { return }
                    }
                    if bytes.count < 1 << 17 { return }
                }
            }
        } catch let error as RedisReplyReader.ProtocolError {
            broken("not the Redis protocol: \(error.text)", now: now)
        } catch {
            broken("\(error)", now: now)
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
        } else {
            // On a connection that is never idle they would pile up; each is moved once at most on the average.
            if waitingStart >= max(1024, waiting.count / 2) {
                waiting.removeFirst(waitingStart)
                waitingStart = 0
            }
            // Its time begins now: the server had the one before it to answer, which may have been long.
            let soonest = now.advanced(by: RedisConnection.replyTimeout)
            waiting[waitingStart].deadline = max(waiting[waitingStart].deadline, soonest)
        }
        guard case .greeting(let stream) = state, let step = Greeting(rawValue: label) else {
            events.append(.reply(label: label, value))
            return
        }
        // CLIENT SETNAME and ROLE may be forbidden; nothing depends on them.
        if let error = value.error, step != .name, step != .role {
            refuse(explain(error), now: now)
            return
        }
        if step == .role, value.array?.first?.text == "slave" {
            refuse("a read-only replica", now: now)
            return
        }
        greetingsLeft -= 1
        if greetingsLeft == 0 {
            state = .open(stream)
            stepDeadline = nil
            if url.sentinel == nil { url.cursor.settle(on: server) }
            events.append(.open)
        }
    }

    private func explain(_ error: String) -> String {
        if error.hasPrefix("ERR invalid password") { return RedisFault.explain("WRONGPASS") }
        if error.hasPrefix("ERR DB index") { return "the server has no database \(url.database)" }
        return RedisFault.explain(error)
    }

    /// The stream is over: the end, unless this server was only being greeted and there are others.
    private func broken(_ reason: String, now: MonotonicTime) {
        if case .greeting = state { refuse(reason, now: now) } else { lose(reason) }
    }

    private func lose(_ reason: String) {
        guard !events.contains(where: { if case .lost = $0 { true } else { false } }) else { return }
        giveUp()
        events.append(.lost(reason))
    }
}
