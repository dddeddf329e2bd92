import CoppiceShared
import CoppiceSystem

/// Publishes in confirm mode: each message is answered for when the server has it, on disk where the queue is durable.
///
/// A message that no queue wanted is not lost: its queue is made as Celery makes a queue that it knows by name alone, and the message is
/// published there. Who demands otherwise is told instead.
///
/// A refused message is published again after a pause, and given up after so many tries: it alone. A server refuses in two ways.
/// It says no to a message (a full queue, a queue without a leader). Or it closes the channel (a message that is too large, a user without
/// the right) and does not say for which message: what was under way is published again one by one, until one is alone when the channel
/// closes. What is to be published meanwhile waits.
public final class AMQPPublisher {
    /// Seconds before a refused message is tried again.
    static let pause = 1.0
    /// How often a message is tried that closes the channel.
    static let mostClosings = 3
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
        /// To who waits at the queue; none is made.
        case reply

        /// How often a message is tried that is said no to.
        var mostTries: Int {
            switch self {
            case .queue: 30
            case .none, .reply: 3
            case .standingWay: 1
            }
        }
    }

    private struct Entry {
        var message: AMQPMessage
        let demand: Demand
        let done: (AMQPRefusal?) -> Void
        var isReturned = false
        var refusals = 0
        /// It has closed the channel: it goes alone.
        var isSuspect = false
    }

    private struct Destination: Hashable {
        var exchange: String
        var routingKey: String

        init(_ message: AMQPMessage) {
            exchange = message.exchange
            routingKey = message.routingKey
        }
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
    /// Ordered while the channel was not open, the server took nothing, or a suspect went alone.
    private var waiting: [Entry] = []
    /// One of them closes the channel: each goes alone, the oldest first.
    private var suspects: [Entry] = []
    /// Whether what is under way is a suspect.
    private var isAlone = false
    /// Published and not answered, by number; the first has `base`. nil: answered, while an earlier one is not.
    private var unconfirmed: [Entry?] = []
    private var first = 0
    private var base: UInt64 = 1
    private var lastProgress = MonotonicTime.distantFuture
    private var refused: [(at: MonotonicTime, entry: Entry)] = []
    /// Where a message was tried in vain as often as it may be: until one is taken there, each is tried once.
    private var hopeless: Set<Destination> = []
    private static let mostHopeless = 1000
    private var noticed: Set<String> = []

    public init(_ connection: AMQPConnection, channel: UInt16, declarations: AMQPRequestLine) {
        self.connection = connection
        self.channel = channel
        places = AMQPPlaces(declarations)
    }

    /// Opens the channel; the connection must be open.
    public func open(now: MonotonicTime, _ then: @escaping () -> Void) {
        whenOpen = then
        open(now: now)
    }

    private func open(now: MonotonicTime) {
        requestsLeft = 2
        do {
            try connection.send(.channelOpen, on: channel, now: now)
            try connection.send(.confirmSelect, on: channel, now: now)
        } catch {
            onFailure(error.description)
        }
    }

    /// Queues a message; `done` is called when the server has it; or, with the reason, where no server can ever have it, it was refused
    /// too often, or the demand is not met.
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
        for (_, entry) in due where !entry.isSuspect { publish(entry, now: now) }
        suspects += due.map(\.entry).filter(\.isSuspect)
        goOn(now: now)
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
            goOn(now: now)
            whenOpen?()
            whenOpen = nil
        case .confirmed(channel, let number, let multiple, let isTaken): confirmed(number, multiple, isTaken, now: now)
        case .returned(channel, let message): returned(message)
        case .channelClosed(channel, let code, let text): channelClosed(AMQPRefusal(code: code, text: text), now: now)
        case .unblocked:
            lastProgress = now
            goOn(now: now)
            return false
        default: return false
        }
        return true
    }

    // MARK: sending

    private func publish(_ entry: Entry, now: MonotonicTime) {
        guard isOpen, !connection.isBlocked, suspects.isEmpty, !isAlone, waiting.isEmpty else {
            waiting.append(entry)
            return
        }
        let exchange = entry.message.exchange
        guard !places.isKnown(exchange: exchange) else {
            send(entry, now: now)
            return
        }
        // Publishing to an exchange that is not there would close the channel, and everything under way with it.
        places.find(exchange: exchange, now: now) { [unowned self] refusal in
            if let refusal { reroute(entry, refusal, now: .now) } else { publish(entry, now: .now) }
            connection.flush()
        }
    }

    /// Sends what waited: suspects one by one, each when nothing else is under way, and then the rest.
    private func goOn(now: MonotonicTime) {
        while isOpen, !connection.isBlocked, !isAlone, !suspects.isEmpty {
            guard first == unconfirmed.count else { return }
            isAlone = send(suspects.removeFirst(), now: now)
        }
        guard isOpen, !connection.isBlocked, !isAlone else { return }
        let entries = waiting
        waiting = []
        for entry in entries { publish(entry, now: now) }
    }

    /// Its exchange leads nowhere: to the queue that has the routing key's name.
    private func reroute(_ entry: Entry, _ refusal: AMQPRefusal, now: MonotonicTime) {
        guard entry.demand != .standingWay, entry.demand != .reply else { return entry.done(refusal) }
        var entry = entry
        once(
            "the exchange \(entry.message.exchange) is not there, or leads nowhere: \(entry.message.routingKey) is taken for a queue's name"
        )
        entry.message.exchange = ""
        entry.isReturned = false
        publish(entry, now: now)
    }

    /// Returns whether it is under way.
    @discardableResult private func send(_ entry: Entry, now: MonotonicTime) -> Bool {
        do {
            let message = entry.message
            guard !message.routingKey.isEmpty || !message.exchange.isEmpty else { throw AMQPError("a message for no queue") }
            try connection.publish(
                message.properties, body: message.body, exchange: message.exchange, routingKey: message.routingKey,
                mandatory: entry.demand != .none, on: channel, now: now)
            if first == unconfirmed.count { lastProgress = now }
            unconfirmed.append(entry)
            return true
        } catch {
            entry.done(AMQPRefusal(unsaid: "\(error)"))
            return false
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
        isAlone = false
        for entry in answered {
            if !isTaken {
                saidNo(to: entry, now: now)
            } else if !entry.isReturned {
                if !hopeless.isEmpty { hopeless.remove(Destination(entry.message)) }
                entry.done(nil)
            } else if !entry.message.exchange.isEmpty {
                let text = "no queue is bound to the exchange \(entry.message.exchange)"
                reroute(entry, AMQPRefusal(code: AMQPRefusal.noRoute, text: text), now: now)
            } else if entry.demand == .queue {
                makeQueue(for: entry, now: now)
            } else {
                entry.done(AMQPRefusal(code: AMQPRefusal.noRoute, text: "there is no queue \(entry.message.routingKey)"))
            }
        }
        goOn(now: now)
    }

    private func saidNo(to entry: Entry, now: MonotonicTime) {
        let queue = entry.message.routingKey
        once("RabbitMQ refuses a message for \(queue), as a full queue does; it is tried again")
        let refusal = AMQPRefusal(code: 506, text: "RabbitMQ refuses a message for the queue \(queue), as a full one does")
        tryAgain(entry, refusal, mostTries: entry.demand.mostTries, now: now)
    }

    /// All that was under way has failed, one of them by its own fault.
    private func channelClosed(_ refusal: AMQPRefusal, now: MonotonicTime) {
        let underWay = unconfirmed[first...].compactMap(\.self)
        unconfirmed.removeAll()
        first = 0
        base = 1
        isOpen = false
        isAlone = false
        guard let oldest = underWay.first else { return onFailure("the channel for publications was closed: \(refusal)") }
        open(now: now)
        if underWay.count == 1 {
            closedChannel(oldest, refusal, now: now)
        } else {
            suspects = underWay + suspects
            for index in underWay.indices { suspects[index].isReturned = false }
        }
    }

    private func closedChannel(_ entry: Entry, _ refusal: AMQPRefusal, now: MonotonicTime) {
        var entry = entry
        // An exchange that has gone is asked for anew. A message that RabbitMQ can't have (406) is not another one the next time.
        entry.isSuspect = refusal.code != 404
        if refusal.code == 404 { places.forget(exchange: entry.message.exchange) }
        let most = refusal.code == 406 ? 1 : min(AMQPPublisher.mostClosings, entry.demand.mostTries)
        tryAgain(entry, refusal, mostTries: most, now: now)
    }

    /// After a pause; or it is given up.
    private func tryAgain(_ entry: Entry, _ refusal: AMQPRefusal, mostTries: Int, now: MonotonicTime) {
        var entry = entry
        entry.refusals += 1
        entry.isReturned = false
        let destination = Destination(entry.message)
        guard entry.refusals >= mostTries || hopeless.contains(destination) else {
            refused.append((now.advanced(by: AMQPPublisher.pause), entry))
            return
        }
        if mostTries > 1 {
            if hopeless.count >= AMQPPublisher.mostHopeless { hopeless.removeAll() }
            hopeless.insert(destination)
        }
        entry.done(refusal)
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
        places.makeQueue(queue, now: now) { [unowned self] refusal in
            if let refusal {
                let text = "there is no queue \(queue), and none can be made: \(refusal)"
                once(text)
                tryAgain(entry, AMQPRefusal(code: AMQPRefusal.noRoute, text: text), mostTries: entry.demand.mostTries, now: .now)
            } else {
                once("there was no queue \(queue): it has been made")
                var entry = entry
                entry.isReturned = false
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
