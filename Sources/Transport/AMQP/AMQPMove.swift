import CoppiceAMQP
import CoppiceShared

/// One batch of messages on its way from a queue to another: consumed, published, confirmed, and only then acknowledged.
///
/// AMQP has no step that does both. Whoever is killed in between leaves a message in both queues, never in none. What can't be read, or
/// not be sent again, stays where it is.
final class AMQPMove {
    /// Seconds in which a message must come, or somebody else has taken it.
    private static let patience = 1.0
    private static let consumer = "move"

    private let from: String
    private let to: String
    private let count: Int
    private let line: AMQPRequestLine
    private let publisher: AMQPPublisher
    private let done: (Result<Int, AMQPRefusal>) -> Void

    private enum Phase { case beginning, consuming, cancelling, settling }
    private var phase = Phase.beginning
    private var arrivals = 0
    private var unconfirmed = 0
    private var confirmed: [UInt64] = []
    private var staying: [UInt64] = []
    private var lastArrival = MonotonicTime.distantFuture

    /// - Parameters:
    ///   - count: at most 65535, and no more than the queue has.
    ///   - line: a channel on which nothing else is consumed.
    ///   - done: told how many were moved.
    init(
        from: String, to: String, count: Int, line: AMQPRequestLine, publisher: AMQPPublisher,
        done: @escaping (Result<Int, AMQPRefusal>) -> Void
    ) {
        self.from = from
        self.to = to
        self.count = count
        self.line = line
        self.publisher = publisher
        self.done = done
    }

    func begin(now: MonotonicTime) {
        // Nothing is acknowledged while it consumes, so that no more than these come.
        line.ask(.qos(count: UInt16(clamping: count), wholeChannel: false), now: now) { _ in }
        line.ask(.consume(queue: from, tag: Self.consumer, noAck: false), now: now) { [unowned self] answer in
            if case .failure(let refusal) = answer { return done(.failure(refusal)) }
            guard phase == .beginning else { return }
            phase = .consuming
            lastArrival = .now
        }
    }

    var isConsuming: Bool { phase != .beginning }

    var deadline: MonotonicTime? { phase == .consuming ? lastArrival.advanced(by: Self.patience) : nil }

    func expired(now: MonotonicTime) { cancel(now: now) }

    func arrived(_ delivery: AMQPDelivery, now: MonotonicTime) {
        arrivals += 1
        lastArrival = now
        if delivery.defect == nil, delivery.size == delivery.body.count {
            unconfirmed += 1
            publisher.publish(AMQPMessage(copyOf: delivery, queue: to), .queue, now: now) { [unowned self] refusal in
                unconfirmed -= 1
                if refusal == nil { confirmed.append(delivery.deliveryTag) } else { staying.append(delivery.deliveryTag) }
                settleIfAll(now: .now)
            }
        } else {
            staying.append(delivery.deliveryTag)
        }
        if arrivals == count { cancel(now: now) }
    }

    /// By the server: the queue is gone.
    func consumerEnded(now: MonotonicTime) {
        // Who has asked for the end is answered all the same.
        guard phase == .consuming else { return }
        phase = .settling
        settleIfAll(now: now)
    }

    private func cancel(now: MonotonicTime) {
        guard phase == .consuming else { return }
        phase = .cancelling
        line.ask(.cancel(tag: Self.consumer), now: now) { [unowned self] _ in
            phase = .settling
            settleIfAll(now: .now)
        }
        line.connection.flush()
    }

    private func settleIfAll(now: MonotonicTime) {
        guard phase == .settling, unconfirmed == 0 else { return }
        for tag in confirmed { send(.ack(tag, multiple: false), now: now) }
        for tag in staying { send(.requeue(tag), now: now) }
        let moved = confirmed.count
        // Answered when the acknowledgements before it have been read.
        line.ask(.qos(count: 0, wholeChannel: false), now: now) { [unowned self] answer in done(answer.map { _ in moved }) }
        line.connection.flush()
    }

    private func send(_ request: AMQPRequest, now: MonotonicTime) {
        // A number and a flag: they always fit.
        try? line.connection.send(request, on: line.channel, now: now)
    }
}
