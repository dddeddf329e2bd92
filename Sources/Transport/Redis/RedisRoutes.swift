import CoppiceRedis
import CoppiceShared

/// Where publications go: to lists, chosen by the exchange's bindings as kombu does it, or to a channel.
///
/// The anonymous exchange is the queue itself. Of any other the bindings are read first: `needsBindings` says so, `learn` takes them in,
/// `destinations` answers.
struct RedisRoutes {
    enum Destination: Equatable {
        /// A list's key.
        case list(String)
        case channel(String)
    }

    private let keys: RedisKeys
    private var bindings: [String: [RedisBinding]] = [:]

    init(_ keys: RedisKeys) { self.keys = keys }

    /// Whether the bindings of the publication's exchange must be known.
    static func needsBindings(_ publication: TaskPublication) -> Bool {
        !publication.exchange.isEmpty && publication.exchangeType != .fanout
    }

    /// Takes the members of an exchange's binding set in.
    mutating func learn(_ exchange: String, _ members: [RedisValue]) {
        bindings[exchange] = members.compactMap { $0.text.flatMap { RedisBinding(member: $0, keys.layout) } }
    }

    /// Empty: no queue is bound to the exchange with this key.
    func destinations(of publication: TaskPublication) -> [Destination] {
        if publication.exchange.isEmpty { return [.list(keys.list(publication.routingKey, priority: publication.priority))] }
        if publication.exchangeType == .fanout {
            return [.channel(keys.fanoutChannel(exchange: publication.exchange, routingKey: publication.routingKey))]
        }
        return queues(of: publication.exchange, routingKey: publication.routingKey)
            .map { .list(keys.list($0, priority: publication.priority)) }
    }

    /// The queues that an exchange's message with this key comes into, each once.
    func queues(of exchange: String, routingKey: String) -> [String] {
        exchange.isEmpty ? [routingKey] : Set((bindings[exchange] ?? []).filter { $0.matches(routingKey) }.map(\.queue)).sorted()
    }
}
