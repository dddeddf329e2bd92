import CoppiceRedis
import CoppiceShared

/// Where publications go: to lists, chosen by the exchange's bindings as kombu does it, or to a channel.
///
/// The anonymous exchange is the queue itself. Of any other the bindings are read first: `exchanges` says which, `learn` takes them in,
/// `destinations` answers.
struct RedisRoutes {
    enum Destination: Equatable {
        /// A list's key.
        case list(String)
        case channel(String)
    }

    private let keys: RedisKeys
    /// Fanout exchanges that we serve: what one of our tasks sends to them again (its retry) is for us alone, not for all.
    private let ownFanouts: [String: String]
    private var bindings: [String: [RedisBinding]] = [:]

    init(_ keys: RedisKeys, serving queues: [QueueDeclaration] = []) {
        self.keys = keys
        ownFanouts = Dictionary(queues.filter { $0.exchangeType == .fanout }.map { ($0.exchange, $0.name) }) { first, _ in first }
    }

    /// The exchanges whose bindings must be known.
    func exchanges(of publications: some Sequence<TaskPublication>) -> Set<String> {
        var found: Set<String> = []
        for publication in publications
        where !publication.exchange.isEmpty && publication.exchangeType != .fanout && ownFanouts[publication.exchange] == nil {
            found.insert(publication.exchange)
        }
        return found
    }

    /// Takes the members of an exchange's binding set in.
    mutating func learn(_ exchange: String, _ members: RedisValue) {
        bindings[exchange] = (members.array ?? []).compactMap { $0.text.flatMap(RedisBinding.init(member:)) }
    }

    /// Empty: no queue is bound to the exchange with this key.
    func destinations(of publication: TaskPublication) -> [Destination] {
        let step = RedisKeys.step(ofPriority: publication.priority)
        if publication.exchange.isEmpty { return [.list(keys.list(publication.routingKey, step: step))] }
        if publication.exchangeType == .fanout {
            return [.channel(keys.fanoutChannel(exchange: publication.exchange, routingKey: publication.routingKey))]
        }
        if let queue = ownFanouts[publication.exchange] { return [.list(keys.list(queue, step: step))] }
        return queues(of: publication.exchange, routingKey: publication.routingKey).map { .list(keys.list($0, step: step)) }
    }

    /// The queues that an exchange's message with this key comes into, each once.
    func queues(of exchange: String, routingKey: String) -> [String] {
        exchange.isEmpty ? [routingKey] : Set((bindings[exchange] ?? []).filter { $0.matches(routingKey) }.map(\.queue)).sorted()
    }
}
