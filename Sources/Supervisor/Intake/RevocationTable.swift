import CoppiceShared
import CoppiceTransport
import DequeModule

/// The ids that have been revoked.
struct RevocationTable {
    private var expiry: [String: MonotonicTime] = [:]
    /// In the order of insertion, which is the order of expiry. Of an id that was revoked again only the last entry counts.
    private var order: Deque<(id: String, at: MonotonicTime)> = []

    var count: Int { expiry.count }

    func contains(_ id: String) -> Bool { expiry[id] != nil }

    mutating func insert(_ id: String, now: MonotonicTime) {
        let at = now.advanced(by: Double(Revocations.lifetime))
        guard expiry[id] != at else { return }
        expiry[id] = at
        order.append((id, at))
        // Entries that do not count take no id's place; they go when they are as many as ids may be.
        if order.count > 2 * Revocations.limit { order.removeAll { expiry[$0.id] != $0.at } }
        while let first = order.first, first.at <= now || expiry.count > Revocations.limit {
            order.removeFirst()
            if expiry[first.id] == first.at { expiry[first.id] = nil }
        }
    }
}
