import CoppiceAMQP

/// Messages of one queue in the order in which they came.
struct Arrivals {
    private var deliveries: [AMQPDelivery?] = []
    private var start = 0

    var isEmpty: Bool { start == deliveries.count }

    func count(where isMeant: (AMQPDelivery) -> Bool) -> Int { deliveries[start...].count { $0.map(isMeant) ?? false } }

    mutating func append(_ delivery: AMQPDelivery) { deliveries.append(delivery) }

    mutating func popFirst() -> AMQPDelivery? {
        guard start < deliveries.count else { return nil }
        let first = deliveries[start]
        deliveries[start] = nil
        start += 1
        if start == deliveries.count {
            deliveries.removeAll(keepingCapacity: true)
            start = 0
        } else if start > 256, start * 2 > deliveries.count {
            deliveries.removeFirst(start)
            start = 0
        }
        return first
    }
}
