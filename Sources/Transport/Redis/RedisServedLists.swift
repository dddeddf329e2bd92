import CoppiceShared

/// The lists that a session takes from, and the queue that each belongs to.
///
/// A queue of a fanout exchange has two: one of this incarnation's own, into which the session puts what the exchange's channel brings,
/// and the one of its name, in which a sender puts what it takes for a direct exchange's.
struct RedisServedLists {
    /// Equally long.
    let queues: [String]
    let names: [String]
    /// Pattern of channels → the own list of a fanout exchange's queue.
    let fanouts: [String: String]

    init(_ declarations: [QueueDeclaration], keys: RedisKeys, incarnation: Incarnation) {
        var places: [(queue: String, list: String)] = []
        var fanouts: [String: String] = [:]
        for queue in declarations {
            if queue.exchangeType == .fanout {
                let own = keys.fanout(queue.name, incarnation)
                // kombu's pattern for the channels of a binding key with '#' (celery-wire §2.8).
                let key = String(queue.routingKey.map { $0 == "#" ? "*" : $0 })
                fanouts[keys.fanoutChannel(exchange: queue.exchange, routingKey: key)] = own
                places.append((queue.name, own))
            }
            places.append((queue.name, queue.name))
        }
        queues = places.map(\.queue)
        names = places.map(\.list)
        self.fanouts = fanouts
    }
}
