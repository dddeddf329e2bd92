import CoppiceShared
import CoppiceSystem

/// Publishes in confirm mode: each message is answered for when the server has it, on disk where the queue is durable.
///
/// A message that no queue wanted is not lost: its queue is made as Celery makes a queue that it knows by name alone, and the message is
/// published there. One that the server refuses (a full queue, a queue without a leader) is published again after a pause. Who demands
/// otherwise is told instead.
public final class AMQPPublisher {
    /// Seconds before a refused message is tried again.
    static let pause = 1.0
    /// Seconds without a confirmation after which something is wrong. A server that has blocked publications does not count.
    static let patience = 30.0

    /// Where a message must get to.
    public enum Demand {
        /// To whoever listens, or to nobody.
        case none
        /// To a queue, which is made where there is none.
        case queue
        /// To a queue, by the way that is there. It is tried once.
        case standingWay
    }

    private struct Entry {
        let message: AMQPMessage
        let demand: Demand
        let done: (AMQPRefusal?) -> Void
        var isReturned = false
    }

    private let connection: AMQPConnection
    private let channel: UInt16
    private let places: AMQPPlaces
    /// Is told, once each, what the operator should know.
    public var onNotice: (String) -> Void = { _ in }
    /// Is told why no more can be published.
    public var onFailure: (String) -> Void = { _ in }

    private var whenOpen: (() -> Void)?
    private var requestsLeft = 0
    private var isOpen = false
    /// Ordered before the channel was open.
    private var early: [Entry] = []
    /// Published and not answered, by number; the first has `base`. nil: answered, while an earlier one is not.
    private var unconfirmed: [Entry?] = []
    private var first = 0
    private var base: UInt64 = 1
    private var lastProgress = MonotonicTime.distantFuture
    private var refused: [(at: MonotonicTime, entry: Entry)] = []
    private var noticed: Set<String> = []

    public init(_ connection: AMQPConnection, channel: UInt16, declarations: AMQPRequestLine) {
        self.connection = connection
        self.channel = channel
        places = AMQPPlaces(declarations)
    }

    /// Opens the channel; the connection must be open.
    public func open(now: MonotonicTime, _ then: @escaping () -> Void) {
        whenOpen = then
        requestsLeft = 2
        do {
            try connection.send(.channelOpen, on: channel, now: now)
            try connection.send(.confirmSelect, on: channel, now: now)
        } catch {
            onFailure(error.description)
        }
    }

    /// Queues a message; `done` is called when the server has it; or, with the reason, where no server can ever have it, or the demand is
    /// not met.
    public func publish(_ message: AMQPMessage, _ demand: Demand, now: MonotonicTime, done: @escaping (AMQPRefusal?) -> Void) {
        publish(Entry(message: message, demand: demand, done: done), now: now)
    }

    /// Hands what is queued to the kernel.
    public func flush() { connection.flush() }

    /// Takes note of exchanges that are known to be there.
    public func knows(exchange: String) { places.knows(exchange: exchange) }

    public var deadline: MonotonicTime? {
        let stuck = first < unconfirmed.count && !connection.isBlocked ? lastProgress.advanced(by: AMQPPublisher.patience) : nil
        return [stuck, refused.map(\.at).min()].compactMap { $0 }.min()
    }

    public func expired(now: MonotonicTime) {
        let due = refused.filter { $0.at <= now }
        refused.removeAll { $0.at <= now }
        for (_, entry) in due { publish(entry, now: now) }
        if first < unconfirmed.count, !connection.isBlocked, lastProgress.advanced(by: AMQPPublisher.patience) <= now {
            onFailure("publications have not been confirmed for \(Int(AMQPPublisher.patience)) seconds")
        }
    }

    /// To be called with each event of the connection; tells whether it was for the publisher.
    public func accept(_ event: AMQPEvent, now: MonotonicTime) -> Bool {
        switch event {
        case .reply(channel, _, _):
            requestsLeft -= 1
            guard requestsLeft == 0 else { break }
            isOpen = true
            let entries = early
            early = []
            for entry in entries { publish(entry, now: now) }
            whenOpen?()
        case .confirmed(channel, let number, let multiple, let isTaken): confirmed(number, multiple, isTaken, now: now)
        case .returned(channel, let message): returned(message)
        case .channelClosed(channel, let code, let text): onFailure("the channel for publications was closed: \(code) \(text)")
        case .unblocked:
            lastProgress = now
            return false
        default: return false
        }
        return true
    }

    // MARK: sending

    private func publish(_ entry: Entry, now: MonotonicTime) {
        guard isOpen else {
            early.append(entry)
            return
        }
        let exchange = entry.message.exchange
        guard !places.isKnown(exchange: exchange) else { return send(entry, now: now) }
        // Publishing to an exchange that is not there would close the channel, and everything under way with it.
        places.find(exchange: exchange, now: now) { [unowned self] refusal in
            if let refusal { reroute(entry, refusal, now: .now) } else { send(entry, now: .now) }
            connection.flush()
        }
    }

    /// Its exchange leads nowhere: to the queue that has the routing key's name.
    private func reroute(_ entry: Entry, _ refusal: AMQPRefusal, now: MonotonicTime) {
        guard entry.demand != .standingWay else { return entry.done(refusal) }
        var message = entry.message
        once("the exchange \(message.exchange) is not there, or leads nowhere: \(message.routingKey) is taken for a queue's name")
        message.exchange = ""
        send(Entry(message: message, demand: entry.demand, done: entry.done), now: now)
    }

    private func send(_ entry: Entry, now: MonotonicTime) {
        do {
            let message = entry.message
            guard !message.routingKey.isEmpty || !message.exchange.isEmpty else { throw AMQPError("a message for no queue") }
            try connection.publish(
                message.properties, body: message.body, exchange: message.exchange, routingKey: message.routingKey,
                mandatory: entry.demand != .none, on: channel, now: now)
            if first == unconfirmed.count { lastProgress = now }
            unconfirmed.append(entry)
        } catch {
            entry.done(AMQPRefusal(unsaid: "\(error)"))
        }
    }

    // MARK: answers

    private func confirmed(_ number: UInt64, _ multiple: Bool, _ isTaken: Bool, now: MonotonicTime) {
        guard number >= base, number - base < UInt64(unconfirmed.count - first) else { return }
        lastProgress = now
        let last = first + Int(number - base)
        var answered: [Entry] = []
        for index in (multiple ? first : last)...last {
            guard let entry = unconfirmed[index] else { continue }
            unconfirmed[index] = nil
            answered.append(entry)
        }
        while first < unconfirmed.count, unconfirmed[first] == nil {
            first += 1
            base += 1
        }
        if first == unconfirmed.count {
            unconfirmed.removeAll(keepingCapacity: unconfirmed.count < 1 << 16)
            first = 0
        } else if first > 4096, first * 2 > unconfirmed.count {
            unconfirmed.removeFirst(first)
            first = 0
        }
        for entry in answered {
            if !isTaken, entry.demand == .standingWay {
                entry.done(AMQPRefusal(code: 506, text: "RabbitMQ refuses it, as a full queue does"))
            } else if !isTaken {
                once("RabbitMQ refuses a message for \(entry.message.routingKey), as a full queue does; it is tried again")
                refused.append((now.advanced(by: AMQPPublisher.pause), entry))
            } else if entry.isReturned, entry.message.exchange.isEmpty, entry.demand == .queue {
                makeQueue(for: entry, now: now)
            } else if entry.isReturned {
                reroute(entry, AMQPRefusal(code: 312, text: "no queue is bound to the exchange \(entry.message.exchange)"), now: now)
            } else {
                entry.done(nil)
            }
        }
    }

    /// Comes before the confirmation of the same message, and does not say which it is: two that are alike are interchangeable.
    private func returned(_ message: AMQPReturn) {
        for index in first..<unconfirmed.count {
            guard let entry = unconfirmed[index], !entry.isReturned, entry.message.exchange == message.exchange,
                entry.message.routingKey == message.routingKey, entry.message.body.count == message.size,
                entry.message.properties.correlationID == message.properties.correlationID,
                message.body.isEmpty || entry.message.body == message.body
            else { continue }
            unconfirmed[index]?.isReturned = true
            return
        }
        onFailure("a message for \(message.routingKey) came back that was never sent")
    }

    private func makeQueue(for entry: Entry, now: MonotonicTime) {
        let queue = entry.message.routingKey
        let entry = Entry(message: entry.message, demand: entry.demand, done: entry.done)
        places.makeQueue(queue, now: now) { [unowned self] refusal in
            if let refusal {
                once("there is no queue \(queue), and none can be made: \(refusal)")
                refused.append((MonotonicTime.now.advanced(by: AMQPPublisher.pause), entry))
            } else {
                once("there was no queue \(queue): it has been made")
                publish(entry, now: .now)
                connection.flush()
            }
        }
    }

    private func once(_ text: String) {
        guard noticed.count < 1000, noticed.insert(text).inserted else { return }
        onNotice(text)
    }
}
