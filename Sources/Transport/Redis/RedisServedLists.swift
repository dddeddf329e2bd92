import CoppiceShared

/// The places that a session takes from: a list of each of its queues and priorities, and for each queue the set in which its messages wait for
/// their time. All of them are numbered, the lists first.
///
/// A queue of a fanout exchange has two lists a priority: one of this incarnation's own, into which the session puts what the exchange's
/// channel brings, and the one of its name, in which a sender puts what it takes for a direct exchange's.
struct RedisServedLists {
    struct Place {
        let key: String
        let queue: String
        /// nil: the queue's parked set.
        let step: Int?
    }

    /// Lists in the order in which they are served: step by step, and within one in the order of the queues. Behind them the parked sets.
    let places: [Place]
    /// How many of the places are lists.
    let lists: Int
    /// Pattern of channels → the own list of a fanout exchange's queue.
    let fanouts: [String: String]

    init(_ declarations: [QueueDeclaration], keys: RedisKeys, incarnation: Incarnation) {
        var names: [(queue: String, list: String)] = []
        var fanouts: [String: String] = [:]
        for queue in declarations {
            if queue.exchangeType == .fanout {
                let own = keys.fanout(queue.name, incarnation)
                // kombu's pattern for the channels of a binding key with '#' (celery-wire §2.8).
                let key = String(queue.routingKey.map { $0 == "#" ? "*" : $0 })
                fanouts[keys.fanoutChannel(exchange: queue.exchange, routingKey: key)] = own
                names.append((queue.name, own))
            }
            names.append((queue.name, queue.name))
        }
        if keys.layout.order == .sorted { names.sort { $0.list < $1.list } }
        var places: [Place] = []
        // A queue may be named like another one's step (`q:3`, where the separator is a colon): a script that read the list at both places
        // would hold each of its messages twice.
        var named: Set<String> = []
        for step in keys.layout.steps {
            for name in names {
                let key = keys.list(name.list, step: step)
                if named.insert(key).inserted { places.append(Place(key: key, queue: name.queue, step: step)) }
            }
        }
        lists = places.count
        for queue in declarations { places.append(Place(key: keys.parked(queue.name), queue: queue.name, step: nil)) }
        self.places = places
        self.fanouts = fanouts
    }
}
