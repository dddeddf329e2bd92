import CoppiceRedis
import CoppiceShared
import CoppiceSystem

/// Asks as Celery's client does: the request is published, the answers come into a list of the caller's own (celery-wire §7).
///
/// The list is looked at every 20 ms for the second that this takes: a connection that waits in BRPOP could not clean up.
public final class RedisControlCaller: ControlCaller {
    private static let pause = 0.02
    private static let exchange = "reply.celery.pidbox"

    private let keys: RedisKeys
    private let id = Incarnation.randomUUID()
    private let dialogue: RedisDialogue
    private var events: [CallerEvent] = []
    private var nextLook: MonotonicTime?
    private var isOver = false

    public init(_ url: RedisURL) {
        keys = RedisKeys(url)
        dialogue = RedisDialogue(RedisConnection(url, clientName: "coppice-client", now: .now))
        drain()
    }

    private var queue: String { "\(id).\(Self.exchange)" }
    private var binding: String { RedisBinding(routingKey: id, pattern: "", queue: queue).member(keys.layout) }

    public func takeEvents() -> [CallerEvent] {
        defer { events.removeAll() }
        return events
    }

    public func call(_ request: JSONObject) {
        var request = request
        request.append("ticket", .string(Incarnation.randomUUID()))
        request.append("reply_to", ["exchange": .string(Self.exchange), "routing_key": .string(id)])
        var command = RedisCommand("PUBLISH", keys.controlChannel)
        command.append(Envelope.write(control: JSONValue.object(request).bytes, deliveryTag: Incarnation.randomUUID()))
        dialogue.ask(command, for: "PUBLISH", as: \.integer) { [unowned self] in
            events.append(.asked(nodes: $0))
            nextLook = .now
        }
        dialogue.flush()
    }

    public func close() {
        nextLook = nil
        dialogue.ask(RedisCommand("SREM", keys.binding(Self.exchange), binding), tolerant: true)
        dialogue.ask(RedisCommand("DEL", keys.list(queue)), tolerant: true) { [unowned self] _ in lose("closed") }
        dialogue.flush()
    }

    private func look() {
        // A later one is set by the answer.
        nextLook = nil
        dialogue.ask(RedisCommand("RPOP", keys.list(queue))) { [unowned self] in
            guard let raw = $0.bytes else {
                nextLook = MonotonicTime.now.advanced(by: Self.pause)
                return
            }
            if let body = Envelope.controlBody(raw) { events.append(.answer(body)) }
            nextLook = .now
        }
        dialogue.flush()
    }

    // MARK: Pollable

    public var interests: [PollInterest] { dialogue.interests }
    public var deadline: MonotonicTime? { [dialogue.deadline, nextLook].compactMap { $0 }.min() }

    public func ready(_ descriptor: Int32, _ happened: PollEvents, now: MonotonicTime) {
        dialogue.ready(descriptor, happened, now: now)
        drain()
    }

    public func expired(now: MonotonicTime) {
        dialogue.expired(now: now)
        if let nextLook, nextLook <= now { look() }
        drain()
    }

    private func drain() {
        dialogue.settle { event in
            switch event {
            case .open:
                dialogue.ask(RedisCommand("SADD", keys.binding(Self.exchange), binding)) { [unowned self] _ in
                    events.append(.standing)
                }
                dialogue.flush()
            case .pushed: break
            case .lost(let reason): lose(reason)
            }
        }
    }

    private func lose(_ reason: String) {
        guard !isOver else { return }
        isOver = true
        nextLook = nil
        dialogue.connection.close()
        events.append(.lost(reason))
    }
}
