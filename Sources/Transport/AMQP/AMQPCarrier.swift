import CoppiceAMQP
import CoppiceShared
import CoppiceSystem

/// A master's connections to RabbitMQ: one that consumes and acknowledges, one that publishes, so that a broker which takes no
/// publications for want of memory or disk still gives messages and takes acknowledgements.
///
/// Messages come by themselves, up to the prefetch limit, and wait here until they are asked for. Their bytes have a bound as well: a
/// message that finds no room is not kept and goes back to its queue, the consumers end until there is room, and begin with a lower
/// limit, which rises again while little lies here. What is sent is confirmed.
public final class AMQPCarrier: MessageCarrier {
    /// Numbers of the channels: three of the consuming connection, two of the publishing one.
    enum Channel {
        static let tasks: UInt16 = 1
        static let control: UInt16 = 2
        static let declarations: UInt16 = 3
        static let publications: UInt16 = 1
        static let replies: UInt16 = 2
    }

    /// Seconds between two questions whether the server still answers.
    private static let probeInterval = 1.0

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
    var events: [CarrierEvent] = []
    var phase = Phase.connecting
    /// Whether the prefetch limit is the channel's; else each consumer's.
    var limitsWholeChannel = true
    let consumers: AMQPConsumers

    /// How many messages may be here or running without an acknowledgement; what is set, and what large messages make of it.
    private var prefetch: UInt16
    private var lowered: UInt16?
    let mostBytes: Int
    /// So few bytes lie here that the largest message finds room, whichever comes: below it the queues are consumed again.
    private let bytesToResume: Int
    /// Bytes of the messages that lie here and have not been passed on, by delivery tag, and all together.
    private var lying: [UInt64: Int] = [:]
    private var lyingBytes = 0
    /// Delivered, and not kept for want of room. The consumers are ended, and these go back when that is answered: sooner, and they would
    /// come again.
    private var putOff: [UInt64] = []
    /// Nothing is to come until there is room.
    private var isFull = false

    private let serial: UInt64
    /// What has come and was not asked for, by queue: for the first time, and once more.
    private var arrived: [Arrivals]
    private var returned: [Arrivals]
    private var nextQueue = 0
    private var wantsBell = true
    private var held: [UInt64: AMQPDelivery] = [:]
    private var window = AckWindow()
    private var acknowledging: [UInt64] = []
    private(set) var isTaking = true
    private var nextProbe = MonotonicTime.distantFuture

    enum Phase: Equatable { case connecting, preparing, standing, closing, over }

    /// - Parameters:
    ///   - queues: from where messages are taken; none twice.
    ///   - prefetch: how many messages may be here or running without an acknowledgement; 65,535 at most.
    ///   - largestMessage: bytes of a body above which it is not kept: such a message is only good to be set aside.
    ///   - mostBytes: bytes of bodies that may lie here; no less than the largest message has.
    public init(
        _ url: AMQPURL, queues: [QueueDeclaration], node: String, incarnation: Incarnation, prefetch: Int, largestMessage: Int,
        mostBytes: Int = 64 << 20
    ) {
        let now = MonotonicTime.now
        self.queues = queues
        self.node = node
        // No limit at all would bring the whole queue here.
        self.prefetch = UInt16(clamping: max(1, prefetch))
        self.mostBytes = mostBytes
        bytesToResume = max(0, min(mostBytes / 2, mostBytes - largestMessage))
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
        consumers = AMQPConsumers(tasks, queues: queues.map(\.name))
        delayed = DelayedDelivery(publisher, declarations: declarations, queues: queues)
        consumers.onEnded = { [unowned self] in consumersEnded() }
        publisher.onNotice = { [unowned self] in events.append(.notice($0)) }
        publisher.onFailure = { [unowned self] in lose($0) }
        delayed.onNotice = { [unowned self] in events.append(.notice($0)) }
        drain(now: now)
    }

    public func takeEvents() -> [CarrierEvent] {
        defer { events.removeAll(keepingCapacity: true) }
        return events
    }

    // MARK: orders

    public func take(upTo count: Int) -> [ReceivedMessage] {
        guard phase == .standing, count > 0 else { return [] }
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
        return messages
    }

    public func allow(unsettled count: Int) {
        let count = UInt16(clamping: max(1, count))
        guard count != prefetch else { return }
        prefetch = count
        setLimit(now: .now)
    }

    public func passedOn(_ tags: [DeliveryTag]) {
        for number in tags.compactMap(own) { makeRoom(number) }
        if isFull { consumeIfRoom(now: .now) }
    }

    public func acknowledge(_ tag: DeliveryTag) {
        guard let number = own(tag), held.removeValue(forKey: number) != nil else { return }
        makeRoom(number)
        acknowledging.append(number)
    }

    public func requeue(_ tag: DeliveryTag) {
        guard let number = own(tag), held.removeValue(forKey: number) != nil else { return }
        requeue(number, now: .now)
    }

    public func send(_ sendings: [Sending], as batch: UInt64) {
        guard phase == .standing else { return }
        var answers = [String?](repeating: nil, count: sendings.count)
        var left = sendings.count
        for (index, sending) in sendings.enumerated() {
            publish(sending) { [unowned self] failure in
                answers[index] = failure
                left -= 1
                if left == 0 { events.append(.sent(batch: batch, answers)) }
            }
        }
    }

    public func stopTaking() {
        guard phase == .standing, isTaking else { return }
        isTaking = false
        consumers.endAll(now: .now)
    }

    public func resumeTaking() {
        guard phase == .standing, !isTaking else { return }
        isTaking = true
        consumeIfRoom(now: .now)
    }

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
        acknowledge(now: .now)
        consuming.flush()
        publishing.flush()
        drain(now: .now)
    }

    public func close() {
        guard phase == .standing else { return lose("closed") }
        let now = MonotonicTime.now
        acknowledge(now: now)
        phase = .closing
        consuming.close(now: now)
        publishing.close(now: now)
        drain(now: now)
    }

    // MARK: Pollable

    public var interests: [PollInterest] { consuming.interests + publishing.interests }

    public var deadline: MonotonicTime? {
        [consuming.deadline, publishing.deadline, publisher.deadline, delayed.deadline, phase == .standing ? nextProbe : nil]
            .compactMap { $0 }.min()
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
        if let deadline = delayed.deadline, deadline <= now { delayed.expired(now: now) }
        if phase == .standing, nextProbe <= now { probe(now: now) }
        consuming.flush()
        publishing.flush()
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
        consuming.flush()
        publishing.flush()
    }

    private func acceptConsuming(_ event: AMQPEvent, now: MonotonicTime) {
        guard phase != .over else { return }
        switch event {
        case .open: if publishing.isOpen { prepare(now: now) }
        case .delivery(Channel.tasks, let delivery): arrived(delivery)
        case .delivery(_, let delivery):
            if delivery.defect == nil { events.append(.control(delivery.body)) }
        case .cancelled(Channel.tasks, let consumer): cancelled(consumer, now: now)
        case .cancelled: consumeControl(now: now) {}
        case .channelClosed(Channel.tasks, let code, let text): lose(AMQPCarrier.explain(code, text))
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
        guard let index = consumers.queue(of: delivery.consumerTag) else { return lose("a message for a consumer that is not ours") }
        guard !delivery.isPutOff else { return putOff(delivery.deliveryTag, now: .now) }
        lying[delivery.deliveryTag] = delivery.body.count
        lyingBytes += delivery.body.count
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
        // Another limit may have been wanted meanwhile.
        setLimit(now: .now)
        nextProbe = MonotonicTime.now.advanced(by: AMQPCarrier.probeInterval)
        events.append(.standing)
        if (arrived + returned).contains(where: { !$0.isEmpty }) {
            wantsBell = false
            events.append(.rang)
        }
    }

    // MARK: sending

    /// Publishes, and goes on when that is confirmed or can't be.
    private func publish(_ sending: Sending, then done: @escaping (_ failure: String?) -> Void) {
        switch sending {
        case .publication(let publication):
            guard let message = AMQPMessage(publication) else { return done("its headers are no JSON object, or its body no base64") }
            publisher.publish(message, .queue, now: .now) { done($0?.description) }
        case .copy(let tag, let queue, let mark, let time):
            guard let number = own(tag), let delivery = held[number] else { return done("the message is not here any more") }
            let copy = AMQPMessage(copyOf: delivery, queue: queue, mark: mark)
            if let time {
                delayed.publish(copy, notBefore: time) { done($0?.description) }
            } else {
                publisher.publish(copy, .queue, now: .now) { done($0?.description) }
            }
        }
    }

    // MARK: settling

    private func own(_ tag: DeliveryTag) -> UInt64? { AMQPTag(tag).flatMap { $0.serial == serial ? $0.delivery : nil } }

    /// Sends the acknowledgements that have come up.
    private func acknowledge(now: MonotonicTime) {
        guard phase == .standing, !acknowledging.isEmpty else { return }
        for ack in window.acknowledge(acknowledging) { send(.ack(ack.tag, multiple: ack.multiple), now: now) }
        acknowledging.removeAll(keepingCapacity: true)
    }

    private func requeue(_ number: UInt64, now: MonotonicTime) {
        makeRoom(number)
        send(.requeue(number), now: now)
        window.settle(number)
    }

    // MARK: how much lies here

    /// The prefetch limit that holds now.
    var limit: UInt16 { min(prefetch, lowered ?? prefetch) }

    /// Where it is each consumer's, what former ones have brought comes on top. So that there is never more than twice as much here as
    /// there should be, however often the limit changes, it waits until enough of that is settled; till then there is no want of work.
    private func setLimit(now: MonotonicTime) {
        guard phase == .standing, consumers.limit != limit, limitsWholeChannel || !consumers.isEnding else { return }
        guard limitsWholeChannel || broughtByFormer <= max(limit, consumers.limit) - consumers.limit else { return }
        consumers.setLimit(limit, wholeChannel: limitsWholeChannel, now: now)
        consuming.flush()
    }

    private var broughtByFormer: Int {
        let isFormer = { [consumers] (delivery: AMQPDelivery) in !consumers.isCurrent(delivery.consumerTag) }
        return (arrived + returned).reduce(held.values.count(where: isFormer)) { $0 + $1.count(where: isFormer) }
    }

    private func makeRoom(_ number: UInt64) {
        guard let bytes = lying.removeValue(forKey: number) else { return }
        lyingBytes -= bytes
        consuming.makeRoom(bytes, on: Channel.tasks)
    }

    private func putOff(_ number: UInt64, now: MonotonicTime) {
        putOff.append(number)
        guard !isFull, isTaking else { return }
        isFull = true
        // Half of what there was room for, so that the next ones fit: of all queues together, where each has a limit of its own.
        lowered = UInt16(clamping: max(1, lying.count / 2 / (limitsWholeChannel ? 1 : queues.count)))
        consumers.endAll(now: now)
    }

    /// Nothing comes behind what is here.
    private func consumersEnded() {
        let now = MonotonicTime.now
        for number in putOff { requeue(number, now: now) }
        putOff = []
        if isFull, isTaking { consumeIfRoom(now: now) }
        setLimit(now: now)
        if !isTaking {
            for index in queues.indices {
                while let delivery = returned[index].popFirst() ?? arrived[index].popFirst() { requeue(delivery.deliveryTag, now: now) }
            }
        }
        consuming.flush()
    }

    /// Sees to it that all queues are consumed, unless nothing is wanted or too much lies here.
    func consumeIfRoom(now: MonotonicTime) {
        guard phase == .standing, isTaking else { return }
        if isFull {
            guard !consumers.isEnding, lyingBytes <= bytesToResume else { return }
            isFull = false
            consumers.setLimit(limit, wholeChannel: limitsWholeChannel, now: now)
        }
        consumers.beginMissing(now: now)
    }

    /// While little lies here the limit rises to what was set.
    private func raiseLimit() {
        guard let lowered, lyingBytes <= mostBytes / 8 else { return }
        self.lowered = lowered < prefetch / 2 ? lowered * 2 : nil
    }

    /// Asks for something that changes nothing, so that a server which is silent is found. A refusal closes the channel, and the session
    /// with it.
    private func probe(now: MonotonicTime) {
        nextProbe = now.advanced(by: AMQPCarrier.probeInterval)
        if isFull { consumeIfRoom(now: now) } else { raiseLimit() }
        setLimit(now: now)
        consumers.probe(now: now)
    }

    private func send(_ request: AMQPRequest, now: MonotonicTime) {
        do { try consuming.send(request, on: Channel.tasks, now: now) } catch { lose(error.description) }
    }
}
