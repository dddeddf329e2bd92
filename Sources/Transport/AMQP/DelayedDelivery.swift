import CoppiceAMQP
import CoppiceShared
import CoppiceSystem

/// Celery's delay queues (celery-wire §3.7): a message waits in a queue for each bit of its delay that is set, from the highest to the
/// lowest, and comes out at `exit`. We declare them as Celery does, or use them as they stand; one notice says so.
///
/// What they do not take, since one of them is gone or full, is kept here: it is tried again, and goes to its own queue when its time
/// has come.
final class DelayedDelivery {
    static let exit = "celery_delayed_delivery"
    private static let prefix = "celery_delayed_"
    /// Bits of the delay in seconds: 8.5 years.
    static let levels = 28
    static let longest = 1 << levels - 1
    /// Seconds by which a message comes early at least: it has a way to go, longer on a busy machine, and is never to be late. With less
    /// than two seconds left it is the holder who waits.
    static let margin = 0.95

    /// Seconds before the delay queues are declared anew and what they did not take is tried again.
    static let pause = 5.0

    private enum Trouble { case differ, refuse }

    private struct Waiting {
        let message: AMQPMessage
        let time: WallTime
        let done: (AMQPRefusal?) -> Void
    }

    private let publisher: AMQPPublisher
    private let declarations: AMQPRequestLine
    private let queues: [QueueDeclaration]
    var onNotice: (String) -> Void = { _ in }
    /// When all declarations had been answered; nil: they have not.
    private var declared: MonotonicTime?
    /// Declarations that have not been answered.
    private var left = 0
    private var whenReady: [() -> Void] = []
    private var refused: [(at: MonotonicTime, waiting: Waiting)] = []
    private var noticed: Set<Trouble> = []

    init(_ publisher: AMQPPublisher, declarations: AMQPRequestLine, queues: [QueueDeclaration]) {
        self.publisher = publisher
        self.declarations = declarations
        self.queues = queues
    }

    // MARK: publishing

    /// Publishes a message for a queue so that it comes there a little before `time`, or at once if that is too soon to be worth the way;
    /// `done` is as with `AMQPPublisher`.
    func publish(_ message: AMQPMessage, notBefore time: WallTime, done: @escaping (AMQPRefusal?) -> Void) {
        publish(Waiting(message: message, time: time, done: done))
    }

    private func publish(_ waiting: Waiting) {
        let delayed = DelayedDelivery.delayed(waiting.message, until: waiting.time, now: .now)
        if delayed.exchange.isEmpty {
            publisher.publish(delayed, .queue, now: .now, done: waiting.done)
        } else if declared != nil {
            publisher.publish(delayed, .standingWay, now: .now) { [unowned self] refusal in
                // What does not fit into AMQP never will.
                if let refusal, refusal.code != 0 { notTaken(waiting, refusal) } else { waiting.done(refusal) }
            }
        } else {
            return prepare(now: .now) { [unowned self] in publish(waiting) }
        }
        publisher.flush()
    }

    private func notTaken(_ waiting: Waiting, _ refusal: AMQPRefusal) {
        once(.refuse, "the delay queues do not take what is to wait (\(refusal)): it is held here until they do, or until its time")
        let rest = waiting.time.seconds - WallTime.now.seconds - DelayedDelivery.margin
        refused.append((MonotonicTime.now.advanced(by: max(0, min(rest, DelayedDelivery.pause))), waiting))
    }

    var deadline: MonotonicTime? { refused.map(\.at).min() }

    func expired(now: MonotonicTime) {
        if let declared, declared.advanced(by: DelayedDelivery.pause) <= now { self.declared = nil }
        let due = refused.filter { $0.at <= now }
        refused.removeAll { $0.at <= now }
        for (_, waiting) in due { publish(waiting) }
    }

    // MARK: declaring

    /// Declares what is not declared yet; `then` is called when it stands.
    func prepare(now: MonotonicTime, _ then: @escaping () -> Void) {
        guard declared == nil else { return then() }
        whenReady.append(then)
        guard left == 0 else { return }
        let requests = DelayedDelivery.requests + queues.flatMap(bindings)
        left = requests.count
        for request in requests {
            declarations.ask(request, now: now) { [unowned self] answer in
                if case .failure(let refusal) = answer { once(.differ, "the delay queues are used as they stand: \(refusal)") }
                left -= 1
                guard left == 0 else { return }
                declared = .now
                let waiting = whenReady
                whenReady = []
                for then in waiting { then() }
            }
        }
        declarations.connection.flush()
    }

    /// A queue was made anew: its way out, too, if there is one.
    func bindAgain(_ queue: QueueDeclaration, now: MonotonicTime) {
        guard declared != nil || left > 0 else { return }
        for request in bindings(queue) { declarations.ask(request, now: now) { _ in } }
    }

    /// A message to a queue, so that it comes there a little before `until`, or at once if that is too soon to be worth the way.
    static func delayed(_ message: AMQPMessage, until: WallTime, now: WallTime) -> AMQPMessage {
        var message = message
        let queue = message.routingKey
        let delay = (until.seconds - now.seconds - margin).rounded(.down)
        guard delay >= 1 else { return message }
        // What waits for longer comes back in between and is parked again.
        let seconds = Int(min(delay, Double(longest)))
        message.exchange = prefix + "\(levels - 1)"
        message.routingKey = key(seconds) + "." + word(queue)
        return message
    }

    /// Whether a message of this exchange has waited: it keeps the name of the last exchange that it was published to.
    static func isOf(_ exchange: String) -> Bool { exchange.hasPrefix(prefix) }

    /// The delay's bits, the highest first.
    static func key(_ seconds: Int) -> String {
        (0..<levels).reversed().map { seconds >> $0 & 1 == 1 ? "1" : "0" }.joined(separator: ".")
    }

    /// A queue's name as one word of a routing key: a dot would divide it, and `#.b` would match what is meant for `a.b`.
    static func word(_ queue: String) -> String {
        var word = "coppice-"
        for byte in queue.utf8 {
            let isPlain = byte | 0x20 >= UInt8(ascii: "a") && byte | 0x20 <= UInt8(ascii: "z") || byte >= 0x30 && byte <= 0x39
            if isPlain || byte == UInt8(ascii: "-") || byte == UInt8(ascii: "_") {
                word.unicodeScalars.append(Unicode.Scalar(byte))
            } else {
                word += "%" + (byte < 16 ? "0" : "") + String(byte, radix: 16)
            }
        }
        // A routing key has 255 bytes; of a name that is too long for it stands a sum (FNV-1a, the same on every node).
        guard word.utf8.count > 150 else { return word }
        let sum = queue.utf8.reduce(0xCBF2_9CE4_8422_2325 as UInt64) { ($0 ^ UInt64($1)) &* 0x100_0000_01B3 }
        return "coppice-sum-" + String(sum, radix: 16)
    }

    /// Exchanges and queues of all levels, a level before what leads to it.
    private static var requests: [AMQPRequest] {
        var requests: [AMQPRequest] = [.exchangeDeclare(exit, type: "topic")]
        for level in 0..<levels {
            let name = prefix + "\(level)"
            let below = level == 0 ? exit : prefix + "\(level - 1)"
            let skipped = String(repeating: "*.", count: levels - 1 - level)
            requests.append(.exchangeDeclare(name, type: "topic"))
            requests.append(
                .queueDeclare(
                    name,
                    arguments: [
                        "x-queue-type": "quorum", "x-overflow": "reject-publish", "x-message-ttl": .int((1 << level) * 1000),
                        "x-dead-letter-exchange": .string(below), "x-dead-letter-strategy": "at-least-once",
                    ]))
            requests.append(.queueBind(queue: name, exchange: name, routingKey: skipped + "1.#"))
            requests.append(.exchangeBind(destination: below, source: name, routingKey: skipped + "0.#"))
        }
        return requests
    }

    /// The way out: to the queue itself under our word, and to what Celery's clients send with a delay of their own.
    private func bindings(_ queue: QueueDeclaration) -> [AMQPRequest] {
        var requests: [AMQPRequest] = [
            .queueBind(queue: queue.name, exchange: DelayedDelivery.exit, routingKey: "#." + DelayedDelivery.word(queue.name))
        ]
        if queue.exchangeType != .direct, !queue.exchange.isEmpty {
            requests.append(
                .exchangeBind(destination: queue.exchange, source: DelayedDelivery.exit, routingKey: "#." + queue.routingKey))
            requests.append(.queueBind(queue: queue.name, exchange: queue.exchange, routingKey: "#." + queue.routingKey))
        }
        return requests
    }

    private func once(_ trouble: Trouble, _ text: String) {
        if noticed.insert(trouble).inserted { onNotice(text) }
    }
}
