import CoppiceRedis
import CoppiceShared
import CoppiceSystem

/// Sends task messages and control requests as kombu does: LPUSH and PUBLISH.
public final class RedisMessageSender: MessageSender {
    private enum Order {
        case publish(TaskPublication)
        case revoke([String])
        case broadcast([UInt8])
    }

    private let keys: RedisKeys
    private let dialogue: RedisDialogue
    private var events: [SenderEvent] = []
    /// Queues whose binding has been written by this sender.
    private var bound: Set<String> = []
    /// Orders that wait until the first one's exchange is known: they are answered in their order.
    private var line: [Order] = []

    public init(_ url: RedisURL) {
        keys = RedisKeys(url)
        dialogue = RedisDialogue(RedisConnection(url, clientName: "coppice-client", now: .now))
        drain()
    }

    public func takeEvents() -> [SenderEvent] {
        defer { events.removeAll() }
        return events
    }

    public func publish(_ publication: TaskPublication) { order(.publish(publication)) }
    public func revoke(_ ids: [String]) { order(.revoke(ids)) }
    public func broadcast(_ request: [UInt8]) { order(.broadcast(request)) }

    private func order(_ order: Order) {
        line.append(order)
        if line.count == 1 { work() }
        dialogue.flush()
    }

    private func work() {
        while let order = line.first {
            switch order {
            case .publish(let publication):
                var routes = RedisRoutes(keys)
                if RedisRoutes.needsBindings(publication) {
                    let bindings = RedisCommand("SMEMBERS", keys.binding(publication.exchange))
                    dialogue.ask(bindings, for: "SMEMBERS", as: \.array) { [unowned self] in
                        routes.learn(publication.exchange, $0)
                        line.removeFirst()
                        send(publication, to: routes.destinations(of: publication))
                        work()
                        dialogue.flush()
                    }
                    return
                }
                bind(publication)
                send(publication, to: routes.destinations(of: publication))
            case .revoke(let ids): sent(RedisRevocations.store(ids, keys))
            case .broadcast(let request):
                var command = RedisCommand("PUBLISH", keys.controlChannel)
                command.append(Envelope.write(control: request, deliveryTag: Incarnation.randomUUID()))
                sent(command)
            }
            line.removeFirst()
        }
    }

    /// As kombu does before the first message to a queue.
    private func bind(_ publication: TaskPublication) {
        guard publication.exchange.isEmpty, bound.insert(publication.routingKey).inserted else { return }
        let queue = QueueDeclaration(publication.routingKey)
        dialogue.ask(RedisCommand("SADD", keys.binding(queue.exchange), RedisBinding(queue).member(keys.layout)))
    }

    private func send(_ publication: TaskPublication, to destinations: [RedisRoutes.Destination]) {
        guard !destinations.isEmpty else {
            let (exchange, key) = (publication.exchange, publication.routingKey)
            events.append(.refused("no queue is bound to the exchange '\(exchange)' with the key '\(key)': nobody would get the message"))
            return
        }
        for (index, destination) in destinations.enumerated() {
            var command =
                switch destination {
                case .list(let key): RedisCommand("LPUSH", key)
                case .channel(let name): RedisCommand("PUBLISH", name)
                }
            // A tag of its own for each: to a Python worker it is the key of what it holds.
            command.append(Envelope.write(publication, deliveryTag: Incarnation.randomUUID()))
            if index == destinations.count - 1 { sent(command) } else { dialogue.ask(command) }
        }
    }

    private func sent(_ command: RedisCommand) { dialogue.ask(command) { [unowned self] _ in events.append(.sent) } }

    public var interests: [PollInterest] { dialogue.interests }
    public var deadline: MonotonicTime? { dialogue.deadline }

    public func ready(_ descriptor: Int32, _ happened: PollEvents, now: MonotonicTime) {
        dialogue.ready(descriptor, happened, now: now)
        drain()
    }

    public func expired(now: MonotonicTime) {
        dialogue.expired(now: now)
        drain()
    }

    private func drain() {
        dialogue.settle { event in
            switch event {
            case .open: events.append(.standing)
            case .pushed: break
            case .lost(let reason):
                dialogue.connection.giveUp()
                events.append(.lost(reason))
            }
        }
    }
}
