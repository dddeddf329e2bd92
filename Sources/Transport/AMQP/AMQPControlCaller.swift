import CoppiceAMQP
import CoppiceShared
import CoppiceSystem

/// Asks as Celery's client does: the request goes to every mailbox, the answers come into a queue of the caller's own, which ends with
/// its connection (celery-wire §3.1, §7). How many nodes hear it RabbitMQ does not tell.
public final class AMQPControlCaller: ControlCaller {
    /// Bytes of an answer above which it is not read.
    private static let largestAnswer = 16 << 20

    private let id = Incarnation.randomUUID()
    private let connection: AMQPClientConnection
    private var events: [CallerEvent] = []

    public init(_ url: AMQPURL) {
        connection = AMQPClientConnection(url, messageLimit: Self.largestAnswer)
        connection.tell { [unowned self] in accept($0) }
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
        connection.publisher.publish(AMQPMessage(control: JSONValue.object(request).bytes), .none, now: .now) { [unowned self] refusal in
            if let refusal { return connection.lose("the request can't be sent: \(refusal)") }
            events.append(.asked(nodes: .max))
        }
        connection.flush()
    }

    public func close() { connection.close() }

    // MARK: Pollable

    public var interests: [PollInterest] { connection.interests }
    public var deadline: MonotonicTime? { connection.deadline }
    public func ready(_ descriptor: Int32, _ happened: PollEvents, now: MonotonicTime) { connection.ready(descriptor, happened, now: now) }
    public func expired(now: MonotonicTime) { connection.expired(now: now) }

    private func accept(_ event: AMQPEvent) {
        switch event {
        case .open: prepare()
        case .delivery(_, let delivery): events.append(.answer(delivery.body))
        case .cancelled: connection.lose("the queue for the answers is gone")
        case .blocked(let reason): connection.lose("RabbitMQ takes no publications for now (\(reason))")
        case .lost(let reason): events.append(.lost(reason))
        default: break
        }
    }

    private func prepare() {
        // If they stand otherwise, they stand.
        for request in AMQPTopology.sharedExchanges { connection.declarations.ask(request, now: .now) { _ in } }
        connection.publisher.knows(exchange: AMQPTopology.controlExchange)
        let queue = queue
        for request in [
            AMQPTopology.controlQueue(queue), .queueBind(queue: queue, exchange: AMQPTopology.replyExchange, routingKey: id),
            .consume(queue: queue, tag: "answers", noAck: true),
        ] {
            connection.declarations.ask(request, now: .now) { [unowned self] answer in
                if case .failure(let refusal) = answer { return connection.lose("no queue for the answers: \(refusal)") }
                guard case .consume = request else { return }
                connection.publisher.open(now: .now) { [unowned self] in events.append(.standing) }
            }
        }
    }
}
