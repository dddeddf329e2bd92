import CoppiceAMQP
import CoppiceShared
import CoppiceSystem

/// Asks as Celery's client does: the request goes to every mailbox, the answers come into a queue of the caller's own, which ends with
/// its connection (celery-wire §3.1, §7). How many nodes hear it RabbitMQ does not tell.
public final class AMQPControlCaller: ControlCaller {
    private enum Channel {
        static let publications: UInt16 = 1
        static let answers: UInt16 = 2
    }

    /// Bytes of an answer above which it is not read.
    private static let largestAnswer = 16 << 20

    private let id = Incarnation.randomUUID()
    private let connection: AMQPConnection
    private let answers: AMQPRequestLine
    private let publisher: AMQPPublisher
    private var events: [CallerEvent] = []
    private var isOver = false

    public init(_ url: AMQPURL) {
        let now = MonotonicTime.now
        connection = AMQPConnection(url, clientName: "coppice-client", messageLimit: Self.largestAnswer, now: now)
        answers = AMQPRequestLine(connection, channel: Channel.answers)
        publisher = AMQPPublisher(connection, channel: Channel.publications, declarations: answers)
        publisher.onFailure = { [unowned self] in lose($0) }
        drain(now: now)
    }

    private var queue: String { "\(id).\(AMQPTopology.replyExchange)" }

    public func takeEvents() -> [CallerEvent] {
        defer { events.removeAll() }
        return events
    }

    public func call(_ request: JSONObject) {
        var request = request
        request.append("ticket", .string(Incarnation.randomUUID()))
        request.append("reply_to", ["exchange": .string(AMQPTopology.replyExchange), "routing_key": .string(id)])
        // Where no node is up there is no mailbox.
        publisher.publish(AMQPMessage(control: JSONValue.object(request).bytes), .none, now: .now) { [unowned self] refusal in
            if let refusal { return lose("the request can't be sent: \(refusal)") }
            events.append(.asked(nodes: .max))
        }
        connection.flush()
    }

    public func close() {
        connection.close(now: .now)
        drain(now: .now)
    }

    // MARK: Pollable

    public var interests: [PollInterest] { connection.interests }
    public var deadline: MonotonicTime? { [connection.deadline, publisher.deadline].compactMap { $0 }.min() }

    public func ready(_ descriptor: Int32, _ happened: PollEvents, now: MonotonicTime) {
        connection.ready(descriptor, happened, now: now)
        drain(now: now)
    }

    public func expired(now: MonotonicTime) {
        if let deadline = connection.deadline, deadline <= now { connection.expired(now: now) }
        if let deadline = publisher.deadline, deadline <= now { publisher.expired(now: now) }
        drain(now: now)
    }

    private func drain(now: MonotonicTime) {
        for event in connection.takeEvents() where !isOver {
            switch event {
            case .open: prepare(now: now)
            case .delivery(Channel.answers, let delivery): events.append(.answer(delivery.body))
            case .cancelled: lose("the queue for the answers is gone")
            case .blocked(let reason): lose("RabbitMQ takes no publications for now (\(reason))")
            case .lost(let reason): lose(reason)
            default: if !publisher.accept(event, now: now) { _ = answers.accept(event, now: now) }
            }
        }
        connection.flush()
    }

    private func prepare(now: MonotonicTime) {
        answers.open(now: now)
        // If they stand otherwise, they stand.
        for request in AMQPTopology.sharedExchanges { answers.ask(request, now: now) { _ in } }
        publisher.knows(exchange: AMQPTopology.controlExchange)
        let queue = queue
        for request in [
            AMQPTopology.controlQueue(queue), .queueBind(queue: queue, exchange: AMQPTopology.replyExchange, routingKey: id),
            .consume(queue: queue, tag: "answers", noAck: true),
        ] {
            answers.ask(request, now: now) { [unowned self] answer in
                if case .failure(let refusal) = answer { return lose("no queue for the answers: \(refusal)") }
                guard case .consume = request else { return }
                publisher.open(now: .now) { [unowned self] in events.append(.standing) }
            }
        }
    }

    private func lose(_ reason: String) {
        guard !isOver else { return }
        isOver = true
        connection.abandon()
        events.append(.lost(reason))
    }
}
