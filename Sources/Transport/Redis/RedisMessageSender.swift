import CoppiceRedis
import CoppiceShared
import CoppiceSystem

/// Sends task messages and control requests as kombu does: LPUSH and PUBLISH.
public final class RedisMessageSender: MessageSender {
    private let keys: RedisKeys
    private let connection: RedisConnection
    private var events: [SenderEvent] = []
    /// Queues whose binding has been written by this sender.
    private var bound: Set<String> = []

    private enum Label {
        static let binding = 100
        static let sending = 101
    }

    public init(_ url: RedisURL) {
        keys = RedisKeys(url)
        connection = RedisConnection(url, clientName: "coppice-client", now: .now)
        drain()
    }

    public func takeEvents() -> [SenderEvent] {
        defer { events.removeAll() }
        return events
    }

    public func publish(_ publication: TaskPublication) {
        let now = MonotonicTime.now
        let queue = publication.routingKey
        if bound.insert(queue).inserted {
            let member = queue + RedisKeys.separator + RedisKeys.separator + queue
            connection.send(RedisCommand("SADD", keys.binding(queue), member), label: Label.binding, now: now)
        }
        var command = RedisCommand("LPUSH", keys.list(queue, step: RedisKeys.step(ofPriority: publication.priority)))
        command.append(Envelope.write(publication, deliveryTag: Incarnation.randomUUID()))
        connection.send(command, label: Label.sending, now: now)
        connection.flush()
    }

    public func revoke(_ ids: [String]) {
        connection.send(RedisRevocations.store(ids, keys), label: Label.sending, now: .now)
        connection.flush()
    }

    public func broadcast(_ request: [UInt8]) {
        var command = RedisCommand("PUBLISH", keys.controlChannel)
        command.append(Envelope.write(control: request, deliveryTag: Incarnation.randomUUID()))
        connection.send(command, label: Label.sending, now: .now)
        connection.flush()
    }

    public var interests: [PollInterest] { connection.interests }
    public var deadline: MonotonicTime? { connection.deadline }

    public func ready(_ descriptor: Int32, _ happened: PollEvents, now: MonotonicTime) {
        connection.ready(descriptor, happened, now: now)
        drain()
    }

    public func expired(now: MonotonicTime) {
        connection.expired(now: now)
        drain()
    }

    private func drain() {
        for event in connection.takeEvents() {
            switch event {
            case .open: events.append(.standing)
            case .reply(let label, let value):
                if let error = value.error {
                    connection.giveUp()
                    events.append(.lost(RedisFault.explain(error)))
                    return
                }
                if label == Label.sending { events.append(.sent) }
            case .lost(let reason): events.append(.lost(reason))
            }
        }
    }
}
