import CoppiceAMQP
import CoppiceShared
import CoppiceSystem

/// A master's session with RabbitMQ: one connection that consumes and acknowledges, one that publishes, so that a broker which takes no
/// publications for want of memory or disk still gives messages and takes acknowledgements.
///
/// Messages come by themselves, up to the prefetch limit, and wait here until they are asked for. What a message's step publishes is
/// confirmed before the message is acknowledged.
///
/// RabbitMQ keeps no book of what was started, tried or revoked: this session is one half of a `LedgeredSession`, whose other half does.
/// So an early start is no more than an acknowledgement here, attempts are nobody's, and `keep` publishes whatever is held. RabbitMQ
/// never says that it has read an acknowledgement, and it is not waited for: one that is lost with its connection makes RabbitMQ deliver
/// the message once more, and the ledger knows it.
public final class AMQPBrokerSession: BrokerSession {
    /// Numbers of the channels: three of the consuming connection, two of the publishing one.
    enum Channel {
        static let tasks: UInt16 = 1
        static let control: UInt16 = 2
        static let declarations: UInt16 = 3
        static let publications: UInt16 = 1
        static let replies: UInt16 = 2
    }

    /// Seconds between two proofs that the server still takes us for alive.
    private static let proofInterval = 1.0

    public let joinsResults = false
    public private(set) var leaseProven: MonotonicTime?

    let queues: [QueueDeclaration]
    let node: String
    let consuming: AMQPConnection
    let publishing: AMQPConnection
    let tasks: AMQPRequestLine
    let control: AMQPRequestLine
    let declarations: AMQPRequestLine
    let replies: AMQPRequestLine
    let publisher: AMQPPublisher
    let delayed: DelayedDelivery
    var events: [BrokerEvent] = []
    var phase = Phase.connecting
    /// When the requests were sent that make the session stand.
    var preparedAt: MonotonicTime?
    /// Whether the prefetch limit is the channel's; else each consumer's.
    var limitsWholeChannel = true
    let prefetch: UInt16

    private let serial: UInt64
    private let incarnation: Incarnation
    /// What has come and was not asked for, by queue: for the first time, and once more.
    private var arrived: [Arrivals]
    private var returned: [Arrivals]
    private var nextQueue = 0
    private var wantsBell = true
    private var held: [UInt64: AMQPDelivery] = [:]
    private var window = AckWindow()
    private var batches: [AMQPCommitBatch] = []
    private var acknowledging: [UInt64] = []
    private var nextProof = MonotonicTime.distantFuture

    enum Phase: Equatable { case connecting, preparing, standing, closing, over }

    /// - Parameters:
    ///   - queues: from where messages are taken; none twice.
    ///   - prefetch: how many messages may be here or running without an acknowledgement; 0: as many as there are.
    ///   - largestMessage: bytes of a body above which it is not kept: such a message is only good to be set aside.
    public init(
        _ url: AMQPURL, queues: [QueueDeclaration], node: String, incarnation: Incarnation, prefetch: Int, largestMessage: Int
    ) {
        let now = MonotonicTime.now
        self.queues = queues
        self.node = node
        self.incarnation = incarnation
        // 65535 is the protocol's highest; Celery takes more for no limit.
        self.prefetch = UInt16(exactly: prefetch) ?? 0
        serial = incarnation.reserve(1)
        arrived = Array(repeating: Arrivals(), count: queues.count)
        returned = arrived
        consuming = AMQPConnection(url, clientName: "coppice:\(node)", messageLimit: largestMessage, now: now)
        publishing = AMQPConnection(url, clientName: "coppice:\(node) (publishing)", messageLimit: largestMessage, now: now)
        tasks = AMQPRequestLine(consuming, channel: Channel.tasks)
        control = AMQPRequestLine(consuming, channel: Channel.control)
        declarations = AMQPRequestLine(consuming, channel: Channel.declarations)
        replies = AMQPRequestLine(publishing, channel: Channel.replies)
        publisher = AMQPPublisher(publishing, channel: Channel.publications, declarations: declarations)
        delayed = DelayedDelivery(declarations, queues: queues)
        publisher.onNotice = { [unowned self] in events.append(.notice($0)) }
        publisher.onFailure = { [unowned self] in lose($0) }
        delayed.onNotice = { [unowned self] in events.append(.notice($0)) }
        drain(now: now)
    }

    public func takeEvents() -> [BrokerEvent] {
        defer { events.removeAll(keepingCapacity: true) }
        return events
    }

    // MARK: orders

    public func take(upTo count: Int) {
        guard phase == .standing, count > 0 else { return }
        var messages: [ReceivedMessage] = []
        // The queues in turn; one that has nothing is passed by.
        var passed = 0
        while messages.count < count, passed < queues.count {
            let index = nextQueue
            nextQueue = (nextQueue + 1) % queues.count
            guard let delivery = returned[index].popFirst() ?? arrived[index].popFirst() else {
                passed += 1
                continue
            }
            passed = 0
            held[delivery.deliveryTag] = delivery
            let tag = AMQPTag(serial: serial, delivery: delivery.deliveryTag).tag
            messages.append(delivery.received(as: tag, from: queues[index].name))
        }
        wantsBell = messages.count < count
        events.append(.taken(messages))
    }

    public func commit(_ commits: [Commit], as batch: UInt64) {
        guard phase == .standing, !commits.isEmpty else { return }
        let batch = AMQPCommitBatch(batch, count: commits.count)
        batches.append(batch)
        let now = MonotonicTime.now
        for (index, commit) in commits.enumerated() where carryOut(commit, in: batch, now: now) { batch.verdicts[index] = .done }
        settle(now: now)
    }

    /// RabbitMQ has no place for them; they are the ledger's.
    public func revoke(_ ids: [String]) {}

    public func reply(_ reply: ControlReply) {
        guard phase == .standing, publishing.isOpen else { return }
        let message = AMQPMessage(reply)
        // A caller that is gone is none of our business; one whose names do not fit into AMQP never was there.
        try? publishing.publish(
            message.properties, body: message.body, exchange: message.exchange, routingKey: message.routingKey, mandatory: false,
            on: Channel.replies, now: .now)
        publishing.flush()
    }

    public func flush() {
        consuming.flush()
        publishing.flush()
        drain(now: .now)
    }

    public func close() {
        guard phase == .standing else { return lose("closed") }
        phase = .closing
        let now = MonotonicTime.now
        consuming.close(now: now)
        publishing.close(now: now)
        drain(now: now)
    }

    // MARK: Pollable

    public var interests: [PollInterest] { consuming.interests + publishing.interests }

    public var deadline: MonotonicTime? {
        [consuming.deadline, publishing.deadline, publisher.deadline, phase == .standing ? nextProof : nil].compactMap { $0 }.min()
    }

    public func ready(_ descriptor: Int32, _ happened: PollEvents, now: MonotonicTime) {
        for connection in [consuming, publishing] where connection.interests.contains(where: { $0.descriptor == descriptor }) {
            connection.ready(descriptor, happened, now: now)
        }
        drain(now: now)
    }

    public func expired(now: MonotonicTime) {
        for connection in [consuming, publishing] {
            if let deadline = connection.deadline, deadline <= now { connection.expired(now: now) }
        }
        if let deadline = publisher.deadline, deadline <= now { publisher.expired(now: now) }
        if phase == .standing, nextProof <= now {
            prove(now: now)
            consuming.flush()
        }
        drain(now: now)
    }

    // MARK: what comes in

    private func drain(now: MonotonicTime) {
        var hasActed = false
        for event in consuming.takeEvents() {
            hasActed = true
            acceptConsuming(event, now: now)
        }
        for event in publishing.takeEvents() {
            hasActed = true
            acceptPublishing(event, now: now)
        }
        guard hasActed, phase != .over else { return }
        settle(now: now)
        consuming.flush()
        publishing.flush()
    }

    private func acceptConsuming(_ event: AMQPEvent, now: MonotonicTime) {
        guard phase != .over else { return }
        switch event {
        case .open: if publishing.isOpen { prepare(now: now) }
        case .delivery(Channel.tasks, let delivery): arrived(delivery)
        case .delivery(_, let delivery): if delivery.defect == nil { events.append(.control(delivery.body)) }
        case .cancelled(Channel.tasks, let consumer): cancelled(consumer, now: now)
        case .cancelled: consumeControl(now: now) {}
        case .channelClosed(Channel.tasks, let code, let text): lose(AMQPBrokerSession.explain(code, text))
        case .lost(let reason): lost(reason, other: publishing)
        default:
            for line in [tasks, control, declarations] where line.accept(event, now: now) { return }
        }
    }

    private func acceptPublishing(_ event: AMQPEvent, now: MonotonicTime) {
        guard phase != .over else { return }
        switch event {
        case .open: if consuming.isOpen { prepare(now: now) }
        case .lost(let reason): lost(reason, other: consuming)
        case .blocked(let reason):
            events.append(.notice("RabbitMQ takes no publications (\(reason)): what is to be published waits"))
        case .unblocked:
            _ = publisher.accept(event, now: now)
            events.append(.notice("RabbitMQ takes publications again"))
        default: if !publisher.accept(event, now: now) { _ = replies.accept(event, now: now) }
        }
    }

    private static func explain(_ code: UInt16, _ text: String) -> String {
        code == 406 && text.contains("timed out")
            ? "RabbitMQ has closed the channel, since a message was held for longer than its consumer_timeout (\(code) \(text))"
            : "RabbitMQ has closed the channel: \(code) \(text)"
    }

    private func arrived(_ delivery: AMQPDelivery) {
        window.delivered(delivery.deliveryTag)
        guard let index = Int(delivery.consumerTag.dropFirst(AMQPBrokerSession.consumerPrefix.count)), arrived.indices.contains(index)
        else {
            return lose("a message for a consumer that is not ours")
        }
        if delivery.redelivered {
            // It stood in front of what has never been delivered.
            returned[index].append(delivery)
        } else {
            arrived[index].append(delivery)
        }
        guard wantsBell, phase == .standing else { return }
        wantsBell = false
        events.append(.rang)
    }

    private func lost(_ reason: String, other: AMQPConnection) {
        // In an orderly end the second one decides.
        if phase == .closing, !other.isOver { return }
        lose(phase == .closing ? "closed" : reason)
    }

    func lose(_ reason: String) {
        guard phase != .over else { return }
        phase = .over
        consuming.abandon()
        publishing.abandon()
        events.append(.lost(reason))
    }

    func stand() {
        guard phase == .preparing else { return }
        phase = .standing
        leaseProven = preparedAt
        nextProof = MonotonicTime.now.advanced(by: AMQPBrokerSession.proofInterval)
        events.append(.standing)
        if (arrived + returned).contains(where: { !$0.isEmpty }) {
            wantsBell = false
            events.append(.rang)
        }
    }

    // MARK: steps

    /// Begins a step; returns whether the message was ours.
    private func carryOut(_ commit: Commit, in batch: AMQPCommitBatch, now: MonotonicTime) -> Bool {
        var messages = publications(of: commit)
        if commit.step == .keep {
            publish(messages, in: batch, now: now) {}
            return true
        }
        guard let tag = AMQPTag(commit.tag), tag.serial == serial, let delivery = held[tag.delivery] else { return false }
        switch commit.step {
        case .keep: return true
        case .startEarly, .conclude, .setAside: break
        case .putBack(front: true) where messages.isEmpty:
            held[tag.delivery] = nil
            send(.requeue(tag.delivery), now: now)
            window.settle(tag.delivery)
            return true
        case .putBack: messages.append(AMQPMessage(copyOf: delivery, queue: commit.queue))
        case .park(let until):
            held[tag.delivery] = nil
            batch.openSteps += 1
            delayed.prepare(now: now) { [unowned self] in
                batch.openSteps -= 1
                // Not before: the queues may have had to be made.
                messages.append(DelayedDelivery.parked(delivery, queue: commit.queue, until: until, now: .now))
                publish(messages, in: batch, now: .now) { [unowned self] in acknowledging.append(tag.delivery) }
                publishing.flush()
            }
            return true
        }
        held[tag.delivery] = nil
        publish(messages, in: batch, now: now) { [unowned self] in acknowledging.append(tag.delivery) }
        return true
    }

    private func publications(of commit: Commit) -> [AMQPMessage] {
        commit.publications.compactMap { publication in
            let message = AMQPMessage(publication)
            if message == nil {
                let why = "its headers are no JSON object, or its body no base64"
                events.append(.notice("a message for \(publication.routingKey) can't be published and is dropped: \(why)"))
            }
            return message
        }
    }

    /// Publishes, and goes on when all is confirmed.
    private func publish(_ messages: [AMQPMessage], in batch: AMQPCommitBatch, now: MonotonicTime, then: @escaping () -> Void) {
        guard !messages.isEmpty else { return then() }
        var left = messages.count
        batch.openSteps += 1
        for message in messages {
            publisher.publish(message, now: now) {
                left -= 1
                guard left == 0 else { return }
                batch.openSteps -= 1
                then()
            }
        }
    }

    /// Sends the acknowledgements that have come up, and answers the batches that are through.
    private func settle(now: MonotonicTime) {
        guard phase == .standing else { return }
        if !acknowledging.isEmpty {
            for ack in window.acknowledge(acknowledging) { send(.ack(ack.tag, multiple: ack.multiple), now: now) }
            acknowledging.removeAll(keepingCapacity: true)
        }
        for batch in batches where batch.openSteps == 0 { events.append(.committed(batch: batch.number, batch.verdicts)) }
        batches.removeAll { $0.openSteps == 0 }
    }

    /// Asks for something that changes nothing: it is answered when all that stands before it on the channel has been read, and shows
    /// that the channel was ours when we asked. A refusal closes the channel, and the session with it.
    private func prove(now: MonotonicTime) {
        nextProof = now.advanced(by: AMQPBrokerSession.proofInterval)
        tasks.ask(.qos(count: prefetch, wholeChannel: limitsWholeChannel), now: now) { [unowned self] _ in leaseProven = now }
    }

    private func send(_ request: AMQPRequest, now: MonotonicTime) {
        do { try consuming.send(request, on: Channel.tasks, now: now) } catch { lose(error.description) }
    }
}
