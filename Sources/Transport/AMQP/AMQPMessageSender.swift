import CoppiceAMQP
import CoppiceShared
import CoppiceSystem

/// Sends task messages and control requests as Celery does, each confirmed by RabbitMQ. A task for a queue that is not there makes it.
public final class AMQPMessageSender: MessageSender {
    private let connection: AMQPClientConnection
    private var events: [SenderEvent] = []
    /// What is to be reported of each order, the oldest first; nil: its answer has not come.
    private var answers: [SenderEvent?] = []
    /// How many orders have been reported, which is the number of the first in `answers`.
    private var reported = 0
    /// RabbitMQ has blocked publications, with this reason; and when what was not confirmed till then is given up.
    private var blocked: (reason: String, until: MonotonicTime)?
    /// Seconds for confirmations that were on their way.
    private static let blockedPatience = 1.0

    public init(_ url: AMQPURL) {
        connection = AMQPClientConnection(url, messageLimit: 1 << 20)
        connection.tell { [unowned self] in accept($0) }
    }

    public func takeEvents() -> [SenderEvent] {
        defer { events.removeAll() }
        return events
    }

    public func publish(_ publication: TaskPublication) {
        let answer = order()
        guard let message = AMQPMessage(publication) else {
            return answer(.refused("a message that can't be sent: its headers are no JSON object, or its body no base64"))
        }
        send(message, .queue, answer)
    }

    /// RabbitMQ has no place for them: told to the nodes that are up, as Celery does.
    public func revoke(_ ids: [String]) {
        let request: JSONValue = [
            "method": "revoke", "arguments": ["task_id": .array(ids.map { .string($0) }), "terminate": false], "destination": nil,
            "pattern": nil, "matcher": nil,
        ]
        broadcast(request.bytes)
    }

    public func broadcast(_ request: [UInt8]) { send(AMQPMessage(control: request), .none, order()) }

    /// Takes an order's place in the line; what is returned is to be told its answer.
    private func order() -> (SenderEvent) -> Void {
        let number = reported + answers.count
        answers.append(nil)
        return { [unowned self] answer in
            answers[number - reported] = answer
            while case .some(.some(let first)) = answers.first {
                answers.removeFirst()
                reported += 1
                events.append(first)
            }
        }
    }

    private func send(_ message: AMQPMessage, _ demand: AMQPPublisher.Demand, _ answer: @escaping (SenderEvent) -> Void) {
        connection.publisher.publish(message, demand, now: .now) { refusal in
            answer(refusal.map { .refused("a message that can't be sent: \($0)") } ?? .sent)
        }
        connection.flush()
    }

    // MARK: Pollable

    public var interests: [PollInterest] { connection.interests }
    public var deadline: MonotonicTime? { [connection.deadline, blocked?.until].compactMap { $0 }.min() }
    public func ready(_ descriptor: Int32, _ happened: PollEvents, now: MonotonicTime) { connection.ready(descriptor, happened, now: now) }

    public func expired(now: MonotonicTime) {
        connection.expired(now: now)
        guard let (reason, until) = blocked, until <= now else { return }
        blocked = nil
        if connection.connection.isBlocked { connection.lose("RabbitMQ takes no publications for now (\(reason))") }
    }

    private func accept(_ event: AMQPEvent) {
        switch event {
        case .open:
            // As the nodes declare it; if it stands otherwise, it stands.
            let exchange = AMQPTopology.controlExchange
            connection.declarations.ask(.exchangeDeclare(exchange, type: "fanout", durable: false), now: .now) { [unowned self] _ in
                connection.publisher.knows(exchange: exchange)
                connection.publisher.open(now: .now) { [unowned self] in events.append(.standing) }
            }
        case .blocked(let reason): blocked = (reason, MonotonicTime.now.advanced(by: Self.blockedPatience))
        case .lost(let reason):
            blocked = nil
            events.append(.lost(reason))
        default: break
        }
    }
}
