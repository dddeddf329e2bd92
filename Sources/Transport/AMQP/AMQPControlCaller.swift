import CoppiceAMQP
import CoppiceShared
import CoppiceSystem

/// Asks as Celery's client does: the request goes to the nodes' exchange, the answers come into a queue of the caller's own
/// (celery-wire §7).
public final class AMQPControlCaller: ControlCaller {
    private enum Channel {
        static let publications: UInt16 = 1
        static let declarations: UInt16 = 2
    }

    private static let exchange = "reply.celery.pidbox"

    private let id = Incarnation.randomUUID()
    private let connection: AMQPConnection
    private let declarations: AMQPRequestLine
    private let publisher: AMQPPublisher
    private var events: [CallerEvent] = []
    private var isOver = false

    public init(_ url: AMQPURL) {
        let now = MonotonicTime.now
        connection = AMQPConnection(url, clientName: "coppice-client", messageLimit: 1 << 24, now: now)
        declarations = AMQPRequestLine(connection, channel: Channel.declarations)
        publisher = AMQPPublisher(connection, channel: Channel.publications, declarations: declarations)
        publisher.onFailure = { [unowned self] in lose($0) }
        drain(now: now)
    }

    public func takeEvents() -> [CallerEvent] {
        defer { events.removeAll() }
        return events
    }

    public func call(_ request: JSONObject) {
        var request = request
        request.append("ticket", .string(Incarnation.randomUUID()))
        request.append("reply_to", ["exchange": .string(Self.exchange), "routing_key": .string(id)])
        let message = AMQPMessage(control: JSONValue.object(request).bytes)
        // RabbitMQ does not say to how many queues it has gone.
        publisher.publish(message, mandatory: false, now: .now) { [unowned self] in events.append(.asked(nodes: .max)) }
        connection.flush()
    }

    /// The queue goes with the connection.
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
            case .open: opened(now: now)
            case .delivery(_, let delivery): events.append(.answer(delivery.body))
            case .cancelled: lose("the queue for the answers is gone")
            case .lost(let reason): lose(reason)
            default: if !publisher.accept(event, now: now) { _ = declarations.accept(event, now: now) }
            }
        }
        connection.flush()
    }

    private func opened(now: MonotonicTime) {
        let queue = "\(id).\(Self.exchange)"
        declarations.open(now: now)
        // Where they stand otherwise, they are used as they stand.
        for request in AMQPTopology.sharedExchanges { declarations.ask(request, now: now) { _ in } }
        let needed: [AMQPRequest] = [
            AMQPTopology.controlQueue(queue), .queueBind(queue: queue, exchange: Self.exchange, routingKey: id),
            .consume(queue: queue, tag: "answers", noAck: true),
        ]
        var left = needed.count
        for request in needed {
            declarations.ask(request, now: now) { [unowned self] answer in
                if case .failure(let refusal) = answer { return lose("no queue for the answers: \(refusal)") }
                left -= 1
                guard left == 0 else { return }
                publisher.knows(exchange: AMQPTopology.controlExchange)
                publisher.open(now: .now) { [unowned self] in events.append(.standing) }
                connection.flush()
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
