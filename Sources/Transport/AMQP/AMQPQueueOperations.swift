import CoppiceAMQP
import CoppiceShared
import CoppiceSystem

/// Queue operations by AMQP's own means. The protocol neither lists queues nor counts what consumers hold or what waits in the delay
/// queues: `rabbitmqctl` does.
public final class AMQPQueueOperations: QueueOperations {
    private enum Channel {
        static let publications: UInt16 = 1
        static let requests: UInt16 = 2
        static let moving: UInt16 = 3
    }

    /// One batch that is being moved.
    private struct Move {
        var to: String
        var wanted: Int
        var taken = 0
        var moved = 0
        /// The last message's delivery tag.
        var lastTag: UInt64 = 0
        var isEnding = false
    }

    private static let batch = 500
    /// Seconds without a message after which the rest of a queue has gone to others.
    private static let patience = 1.0

    private let connection: AMQPConnection
    private let requests: AMQPRequestLine
    private let moving: AMQPRequestLine
    private let publisher: AMQPPublisher
    private var events: [QueueEvent] = []
    private var isOver = false
    private var move: Move?
    private var lastTaken = MonotonicTime.distantFuture

    public init(_ url: AMQPURL) {
        let now = MonotonicTime.now
        connection = AMQPConnection(url, clientName: "coppice-client", messageLimit: .max, now: now)
        requests = AMQPRequestLine(connection, channel: Channel.requests)
        moving = AMQPRequestLine(connection, channel: Channel.moving)
        publisher = AMQPPublisher(connection, channel: Channel.publications, declarations: requests)
        publisher.onFailure = { [unowned self] in lose($0) }
        drain(now: now)
    }

    public func takeEvents() -> [QueueEvent] {
        defer { events.removeAll() }
        return events
    }

    // MARK: orders

    /// Without names: Celery's standard queue. One that is not there is left out.
    public func survey(_ names: [String]?) {
        let names = names ?? ["celery"]
        var left = names.count
        var states: [QueueState] = []
        if names.isEmpty { events.append(.queues([])) }
        for name in names {
            requests.ask(.queueExists(name), now: .now) { [unowned self] answer in
                if case .success(.queue(_, let messages, let consumers)) = answer {
                    states.append(QueueState(name: name, waiting: messages, consumers: consumers))
                }
                left -= 1
                if left == 0 { events.append(.queues(states)) }
            }
        }
        connection.flush()
    }

    /// What is parked stays: the delay queues are everybody's.
    public func purge(_ queue: String) {
        requests.ask(.queuePurge(queue), now: .now) { [unowned self] answer in
            switch answer {
            case .success(.removed(let messages)): events.append(.purged(waiting: messages, parked: 0))
            case .success: lose("an answer to a purge that makes no sense")
            // There is nothing to remove.
            case .failure(let refusal) where refusal.code == 404: events.append(.purged(waiting: 0, parked: 0))
            case .failure(let refusal): lose("\(refusal)")
            }
        }
        connection.flush()
    }

    /// RabbitMQ can't move: a batch is confirmed in the other queue, then acknowledged in this one. If we die between the two it is in
    /// both.
    public func move(from: String, to: String, upTo count: Int) {
        requests.ask(.queueExists(to), now: .now) { [unowned self] answer in
            if case .failure = answer {
                // As Celery makes a queue that it knows by name alone. If that is refused, the first message will say so.
                for request in AMQPTopology.requests(QueueDeclaration(to)) { requests.ask(request, now: .now) { _ in } }
            }
            begin(from: from, to: to, upTo: count)
        }
        connection.flush()
    }

    private func begin(from: String, to: String, upTo count: Int) {
        requests.ask(.queueExists(from), now: .now) { [unowned self] answer in
            guard case .success(.queue(_, let messages, _)) = answer, messages > 0 else {
                events.append(.moved(0))
                return
            }
            let wanted = min(count, messages, Self.batch)
            move = Move(to: to, wanted: wanted)
            lastTaken = .now
            moving.ask(.qos(count: UInt16(clamping: wanted), wholeChannel: false), now: .now) { _ in }
            moving.ask(.consume(queue: from, tag: "move", noAck: false), now: .now) { [unowned self] answer in
                if case .failure(let refusal) = answer { lose("\(refusal)") }
            }
            connection.flush()
        }
        connection.flush()
    }

    public func deadLetters(upTo count: Int) { lose("with RabbitMQ dead letters stand where results are kept") }
    public func deadLetter(_ id: String) { lose("with RabbitMQ dead letters stand where results are kept") }

    // MARK: moving

    private func arrived(_ delivery: AMQPDelivery, now: MonotonicTime) {
        guard let batch = move, batch.taken < batch.wanted, !batch.isEnding, delivery.defect == nil else {
            return send(.requeue(delivery.deliveryTag), now: now)
        }
        move?.taken += 1
        move?.lastTag = delivery.deliveryTag
        lastTaken = now
        publisher.publish(AMQPMessage(copyOf: delivery, queue: batch.to), now: now) { [unowned self] in
            move?.moved += 1
            endIfDone(now: .now)
        }
    }

    /// When all is confirmed in the other queue. Acknowledged only after the consumer's end, so that no more comes than the batch had.
    private func endIfDone(now: MonotonicTime) {
        guard let batch = move, !batch.isEnding, batch.moved == batch.taken else { return }
        guard batch.taken == batch.wanted || lastTaken.advanced(by: Self.patience) <= now else { return }
        move?.isEnding = true
        moving.ask(.cancel(tag: "move"), now: now) { [unowned self] _ in
            guard let batch = move else { return }
            if batch.moved > 0 { send(.ack(batch.lastTag, multiple: true), now: .now) }
            // Answered behind the acknowledgement.
            moving.ask(.qos(count: 1, wholeChannel: false), now: .now) { [unowned self] _ in
                move = nil
                events.append(.moved(batch.moved))
            }
        }
        connection.flush()
    }

    private func send(_ request: AMQPRequest, now: MonotonicTime) {
        do { try connection.send(request, on: Channel.moving, now: now) } catch { lose(error.description) }
    }

    // MARK: Pollable

    public var interests: [PollInterest] { connection.interests }

    public var deadline: MonotonicTime? {
        let patience = move.map { $0.isEnding ? nil : lastTaken.advanced(by: Self.patience) } ?? nil
        return [connection.deadline, publisher.deadline, patience].compactMap { $0 }.min()
    }

    public func ready(_ descriptor: Int32, _ happened: PollEvents, now: MonotonicTime) {
        connection.ready(descriptor, happened, now: now)
        drain(now: now)
    }

    public func expired(now: MonotonicTime) {
        if let deadline = connection.deadline, deadline <= now { connection.expired(now: now) }
        if let deadline = publisher.deadline, deadline <= now { publisher.expired(now: now) }
        if lastTaken.advanced(by: Self.patience) <= now {
            // What is published and not confirmed is waited for.
            let taken = move?.taken ?? 0
            move?.wanted = taken
            lastTaken = now
            endIfDone(now: now)
        }
        drain(now: now)
    }

    private func drain(now: MonotonicTime) {
        for event in connection.takeEvents() where !isOver {
            switch event {
            case .open:
                requests.open(now: now)
                moving.open(now: now)
                publisher.open(now: now) { [unowned self] in events.append(.standing) }
            case .delivery(_, let delivery): arrived(delivery, now: now)
            case .cancelled: lose("the queue was deleted")
            case .lost(let reason): lose(reason)
            default:
                guard !publisher.accept(event, now: now) else { break }
                for line in [requests, moving] where line.accept(event, now: now) { break }
            }
        }
        connection.flush()
    }

    private func lose(_ reason: String) {
        guard !isOver else { return }
        isOver = true
        connection.abandon()
        events.append(.lost(reason))
    }
}
