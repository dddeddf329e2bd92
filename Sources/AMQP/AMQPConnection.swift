import CoppiceDial
import CoppiceShared
import CoppiceSystem

/// One connection to a RabbitMQ: found, connected, authenticated, in its virtual host. librabbitmq is the codec; bytes, heartbeats and
/// deadlines are ours.
///
/// Every request that wants an answer has a deadline, and a server that says nothing for the agreed time is a lost connection. The
/// connection never blocks; what it has to say is fetched with `takeEvents`.
public final class AMQPConnection: Pollable {
    /// Seconds for the greeting; the steps before it have `Dialler.timeout` each.
    public static let connectTimeout = 4.0
    /// Seconds in which a request must be answered, or the one before it.
    public static let replyTimeout = 5.0
    /// Seconds for the server to say that it, too, sees the connection's end. To leave sooner than it reads may take back what was
    /// acknowledged last: the kernel resets a connection on which something lies unread.
    public static let closeTimeout = replyTimeout

    enum State {
        case dialling(Dialler)
        case greeting(any ByteStream)
        case open(any ByteStream)
        /// We have asked for the end.
        case closing(any ByteStream)
        case closed
    }

    private struct Channel {
        /// The number of each request's method, and when its answer is due.
        var waiting: [(method: UInt32, deadline: MonotonicTime)] = []
        var content: PartialContent?
        /// Bytes of bodies that may still come and be kept.
        var room = Int.max

        mutating func postpone(to time: MonotonicTime) {
            for index in waiting.indices { waiting[index].deadline = max(waiting[index].deadline, time) }
        }
    }

    let url: AMQPURL
    let clientName: String
    private let messageLimit: Int
    let encoder = AMQPEncoder()
    private let decoder = AMQPDecoder()
    var state = State.closed
    var stepDeadline = MonotonicTime.distantFuture
    var events: [AMQPEvent] = []
    private var channels: [UInt16: Channel] = [:]
    /// Bytes that were read and are no whole frame yet.
    var input: [UInt8] = []
    /// Bytes of the last frame that have yet to come and are passed over.
    var unread = 0
    /// Whether the server takes no publications for now.
    public private(set) var isBlocked = false
    /// `.lost` has been reported.
    public private(set) var isOver = false

    /// The servers that this connection may still try, as numbers in the URL.
    var candidates: ArraySlice<Int>
    var server = 0
    var failures: [String] = []

    /// Seconds; 0: none agreed on.
    var heartbeat = 0.0
    private var lastHeard = MonotonicTime.distantFuture
    private var lastSaid = MonotonicTime.distantFuture

    /// What the server says of itself.
    public internal(set) var serverProperties = JSONObject()

    /// Begins to connect.
    ///
    /// - Parameters:
    ///   - clientName: how the connection is called in RabbitMQ's lists.
    ///   - messageLimit: bytes of a body above which it is not kept.
    public init(_ url: AMQPURL, clientName: String, messageLimit: Int, now: MonotonicTime) {
        self.url = url
        self.clientName = clientName
        self.messageLimit = messageLimit
        let count = url.servers.count
        let first = url.cursor.first(of: count)
        candidates = url.servers.indices.map { ($0 + first) % count }[...]
        dial(now: now)
    }

    public func takeEvents() -> [AMQPEvent] {
        defer { events.removeAll(keepingCapacity: true) }
        return events
    }

    public var isOpen: Bool { if case .open = state { true } else { false } }

    /// The server's version, as numbers; empty where it does not say.
    public var serverVersion: [Int] { (serverProperties["version"]?.string ?? "").split(separator: ".").map { Int($0) ?? 0 } }

    // MARK: orders

    /// Queues a request; `flush` sends it. Its answer comes as `.reply`, or the channel is closed: then it was not carried out.
    ///
    /// On a channel whose end has been read and is still among the events nothing is sent: it would end the connection.
    ///
    /// - Throws: what of it does not fit into AMQP; nothing is sent then.
    public func send(_ request: AMQPRequest, on channel: UInt16, now: MonotonicTime) throws(AMQPError) {
        guard case .open(let stream) = state else { return }
        var bytes: [UInt8] = []
        try encoder.append(request, channel: channel, to: &bytes)
        if request == .channelOpen { channels[channel] = Channel() }
        guard channels[channel] != nil else { return }
        if request.isAnswered {
            // Behind the frame's head of seven bytes stands the method's number.
            let method = bytes[7..<11].reduce(0) { $0 << 8 | UInt32($1) }
            channels[channel]?.waiting.append((method, now.advanced(by: AMQPConnection.replyTimeout)))
        }
        write(bytes, stream, now: now)
    }

    /// Queues a message; as with `send`, not on a channel that is closed.
    ///
    /// - Parameter mandatory: it comes back as `.returned` if no queue wants it.
    /// - Throws: what of it does not fit into AMQP; nothing is sent then.
    public func publish(
        _ properties: AMQPProperties, body: [UInt8], exchange: String, routingKey: String, mandatory: Bool, on channel: UInt16,
        now: MonotonicTime
    ) throws(AMQPError) {
        guard case .open(let stream) = state, channels[channel] != nil else { return }
        var bytes: [UInt8] = []
        bytes.reserveCapacity(body.count + 1024)
        try encoder.append(
            channel: channel, exchange: exchange, routingKey: routingKey, mandatory: mandatory, properties, body: body, to: &bytes)
        write(bytes, stream, now: now)
    }

    /// Bounds what is kept of a channel's deliveries: each takes of the room what its body has, until `makeRoom` gives it back. A body
    /// that finds no room is not kept, and its delivery says so. To be called when the channel has been opened.
    public func limitRoom(to bytes: Int, on channel: UInt16) { channels[channel]?.room = bytes }

    public func makeRoom(_ bytes: Int, on channel: UInt16) { channels[channel]?.room += bytes }

    /// Hands what is queued to the kernel.
    public func flush() {
        guard let stream else { return }
        do { try stream.flush() } catch { lose("\(error)") }
    }

    /// Ends in order: what was sent is taken by the server, then `.lost("closed")` comes, after a moment at the latest.
    public func close(now: MonotonicTime) {
        guard case .open(let stream) = state else { return lose("closed") }
        var bytes: [UInt8] = []
        do { try encoder.appendClose(to: &bytes) } catch { return lose("\(error)") }
        write(bytes, stream, now: now)
        state = .closing(stream)
        stepDeadline = now.advanced(by: AMQPConnection.closeTimeout)
        flush()
    }

    /// Ends at once, without a word and without an event.
    public func abandon() {
        switch state {
        case .dialling(let dialler): dialler.close()
        case .greeting(let stream), .open(let stream), .closing(let stream): stream.close()
        case .closed: break
        }
        state = .closed
    }

    // MARK: Pollable

    public var interests: [PollInterest] {
        switch state {
        case .dialling(let dialler): dialler.interests
        case .greeting(let stream), .open(let stream), .closing(let stream): [stream.interest]
        case .closed: []
        }
    }

    public var deadline: MonotonicTime? {
        switch state {
        case .dialling(let dialler): dialler.deadline
        case .greeting, .closing: stepDeadline
        case .open: [sayBy, hearBy, answerBy].compactMap { $0 }.min()
        case .closed: nil
        }
    }

    public func ready(_ descriptor: Int32, _ happened: PollEvents, now: MonotonicTime) {
        switch state {
        case .dialling(let dialler):
            dialler.ready(descriptor, happened, now: now)
            check(dialler, now: now)
        case .greeting(let stream), .open(let stream), .closing(let stream):
            if happened.contains(.read) || happened.contains(.hangup) { receive(stream, now: now) }
            if happened.contains(.write) { flush() }
        case .closed: break
        }
    }

    public func expired(now: MonotonicTime) {
        switch state {
        case .dialling(let dialler):
            dialler.expired(now: now)
            check(dialler, now: now)
        case .greeting:
            if stepDeadline <= now { refuse("the server accepts connections but does not answer", now: now) }
        case .closing: if stepDeadline <= now { lose("closed") }
        case .open(let stream):
            // The master may have been stopped itself: what has arrived meanwhile counts before any deadline does.
            receive(stream, now: now)
            guard case .open = state else { return }
            if let hearBy, hearBy <= now {
                lose("nothing heard for \(Int(heartbeat)) seconds: the connection has gone silent")
            } else if let answerBy, answerBy <= now {
                lose("no answer within \(Int(AMQPConnection.replyTimeout)) seconds")
            } else if let sayBy, sayBy <= now {
                write(AMQPFrame.heartbeat, stream, now: now)
                flush()
            }
        case .closed: break
        }
    }

    private var sayBy: MonotonicTime? { heartbeat > 0 ? lastSaid.advanced(by: heartbeat / 2) : nil }
    private var hearBy: MonotonicTime? { heartbeat > 0 ? lastHeard.advanced(by: heartbeat) : nil }
    /// A server that has blocked us reads nothing: it answers when it unblocks.
    private var answerBy: MonotonicTime? { isBlocked ? nil : channels.values.compactMap { $0.waiting.first?.deadline }.min() }

    private var stream: (any ByteStream)? {
        switch state {
        case .greeting(let stream), .open(let stream), .closing(let stream): stream
        case .dialling, .closed: nil
        }
    }

    // MARK: what comes in

    private func receive(_ stream: any ByteStream, now: MonotonicTime) {
        do {
            // Bounded per call, so that one busy connection does not hold the loop.
            for _ in 0..<16 {
                switch try stream.read(upTo: 1 << 17) {
                case .wouldBlock: return
                case .end: return broken("the server closed the connection", now: now)
                case .bytes(let bytes):
                    lastHeard = now
                    try consume(bytes, stream, now: now)
                    if case .closed = state { return }
                    if case .dialling = state { return }
                    if bytes.count < 1 << 17 { return }
                }
            }
        } catch let error as AMQPError {
            broken("not as AMQP has it: \(error)", now: now)
        } catch {
            broken("\(error)", now: now)
        }
    }

    private func consume(_ bytes: [UInt8], _ stream: any ByteStream, now: MonotonicTime) throws(AMQPError) {
        // Nearly always nothing was left over, and the bytes need no copy.
        let all = input.isEmpty ? bytes : input + bytes
        input = []
        var position = 0
        let result = all.withUnsafeBytes { buffer -> Result<Void, AMQPError> in
            Result { () throws(AMQPError) in
                while true {
                    let passed = min(unread, buffer.count - position)
                    position += passed
                    unread -= passed
                    guard unread == 0, let frame = try AMQPFrame(buffer, at: position, limit: encoder.frameMax) else { return }
                    position = frame.next
                    unread = frame.unread
                    try accept(frame, UnsafeRawBufferPointer(rebasing: buffer[frame.payload]), stream, now: now)
                    switch state {
                    case .closed, .dialling: return
                    case .greeting, .open, .closing: break
                    }
                }
            }
        }
        try result.get()
        if position < all.count { input = Array(all[position...]) }
    }

    private func accept(_ frame: AMQPFrame, _ payload: UnsafeRawBufferPointer, _ stream: any ByteStream, now: MonotonicTime)
        throws(AMQPError)
    {
        switch frame.kind {
        case .heartbeat: break
        case .method:
            let incoming = try decoder.method(payload)
            if case .greeting = state {
                try greet(incoming, stream, now: now)
            } else {
                try accept(incoming, frame.channel, stream, now: now)
            }
        case .header:
            guard payload.count >= AMQPFrame.headerStart, channels[frame.channel]?.content != nil else {
                throw AMQPError("a content header out of turn")
            }
            let size = UInt64(bigEndian: payload.loadUnaligned(fromByteOffset: 4, as: UInt64.self))
            let properties = Result { () throws(AMQPError) in
                guard frame.unread == 0 else {
                    let bytes = AMQPFrame.headerStart + frame.unread - 1
                    throw AMQPError("headers of \(bytes) bytes; at most \(AMQPFrame.largestHeader) are read")
                }
                return try decoder.properties(UnsafeRawBufferPointer(rebasing: payload[AMQPFrame.headerStart...]))
            }
            let room = channels[frame.channel]?.room ?? 0
            let kept = try channels[frame.channel]?.content?.begin(size: size, limit: messageLimit, room: room, properties) ?? 0
            channels[frame.channel]?.room -= kept
            finishContent(frame.channel)
        case .body:
            guard channels[frame.channel]?.content != nil else { throw AMQPError("a body frame out of turn") }
            try channels[frame.channel]?.content?.append(payload)
            finishContent(frame.channel)
        }
    }

    private func finishContent(_ channel: UInt16) {
        guard let content = channels[channel]?.content, content.isComplete else { return }
        channels[channel]?.content = nil
        events.append(content.event(channel: channel))
    }

    private func accept(_ incoming: AMQPIncoming, _ channel: UInt16, _ stream: any ByteStream, now: MonotonicTime) throws(AMQPError) {
        switch incoming {
        case .close(let code, let text):
            var bytes: [UInt8] = []
            try encoder.appendCloseOK(to: &bytes)
            write(bytes, stream, now: now)
            flush()
            if code == 320 { url.cursor.pass(server, of: url.servers.count) }
            return lose(explain(code, text))
        case .closeOK:
            guard case .closing = state else { throw AMQPError("a farewell that nothing asked for") }
            return lose("closed")
        case .blocked(let reason):
            isBlocked = true
            events.append(.blocked(reason))
            return
        case .unblocked:
            isBlocked = false
            for number in channels.keys { channels[number]?.postpone(to: now.advanced(by: AMQPConnection.replyTimeout)) }
            events.append(.unblocked)
            return
        case .start, .secure, .tune, .openOK: throw AMQPError("a greeting out of turn")
        default: break
        }
        guard channels[channel] != nil else { throw AMQPError("a method on channel \(channel), which is not open") }
        switch incoming {
        case .channelClose(let code, let text):
            var bytes: [UInt8] = []
            try encoder.appendChannelCloseOK(channel: channel, to: &bytes)
            write(bytes, stream, now: now)
            flush()
            channels[channel] = nil
            events.append(.channelClosed(channel: channel, code: code, text: text))
        case .flow(let isActive):
            // RabbitMQ does not send it; who does is told that we have heard.
            var bytes: [UInt8] = []
            try encoder.appendFlowOK(isActive: isActive, channel: channel, to: &bytes)
            write(bytes, stream, now: now)
        case .delivery(let consumerTag, let deliveryTag, let redelivered, let exchange, let routingKey):
            try begin(
                .delivery(
                    consumerTag: consumerTag, deliveryTag: deliveryTag, redelivered: redelivered, exchange: exchange,
                    routingKey: routingKey), channel)
        case .returned(let code, let text, let exchange, let routingKey):
            try begin(.returned(code: code, text: text, exchange: exchange, routingKey: routingKey), channel)
        case .confirmed(let number, let multiple, let isTaken):
            events.append(.confirmed(channel: channel, number: number, multiple: multiple, isTaken: isTaken))
        case .cancel(let consumerTag): events.append(.cancelled(channel: channel, consumerTag: consumerTag))
        case .reply(let method, let reply):
            // Nearly always the oldest. But consume-ok and cancel-ok come from the queue, and what was asked later may overtake them.
            guard let index = channels[channel]?.waiting.firstIndex(where: { $0.method == method }) else {
                throw AMQPError("an answer that nothing asked for")
            }
            channels[channel]?.waiting.remove(at: index)
            // What waits behind it was waiting for it.
            channels[channel]?.postpone(to: now.advanced(by: AMQPConnection.replyTimeout))
            events.append(.reply(channel: channel, index: index, reply))
        case .close, .closeOK, .blocked, .unblocked, .start, .secure, .tune, .openOK: break
        }
    }

    private func begin(_ origin: PartialContent.Origin, _ channel: UInt16) throws(AMQPError) {
        guard channels[channel]?.content == nil else { throw AMQPError("a message within a message") }
        channels[channel]?.content = PartialContent(origin)
    }

    func write(_ bytes: [UInt8], _ stream: any ByteStream, now: MonotonicTime) {
        stream.enqueue { $0.append(contentsOf: bytes) }
        lastSaid = now
    }

    /// The stream is at its end: in the greeting that is the server's refusal.
    private func broken(_ reason: String, now: MonotonicTime) {
        if case .greeting = state {
            refuse(reason, now: now)
        } else if case .closing = state {
            lose("closed")
        } else {
            lose(reason)
        }
    }

    func lose(_ reason: String) {
        guard !isOver else { return }
        isOver = true
        abandon()
        events.append(.lost(reason))
    }
}
