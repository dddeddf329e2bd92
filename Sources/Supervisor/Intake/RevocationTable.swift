import CoppiceShared
import DequeModule

/// The ids that have been revoked: as many and for as long as Celery keeps them (celery-wire §6.7).
struct RevocationTable {
    static let limit = 50_000
    /// Seconds.
    static let lifetime = 10_800.0

    private var expiry: [String: MonotonicTime] = [:]
    /// In the order of insertion, which is the order of expiry. Of an id that was revoked again only the last entry counts.
    private var order: Deque<(id: String, at: MonotonicTime)> = []

    var count: Int { expiry.count }

    func contains(_ id: String) -> Bool { expiry[id] != nil }

    mutating func insert(_ id: String, now: MonotonicTime) {
        let at = now.advanced(by: RevocationTable.lifetime)
        guard expiry[id] != at else { return }
        expiry[id] = at
        order.append((id, at))
        // Entries that do not count take no id's place; they go when they are as many as ids may be.
        if order.count > 2 * RevocationTable.limit { order.removeAll { expiry[$0.id] != $0.at } }
        while let first = order.first, first.at <= now || expiry.count > RevocationTable.limit {
            order.removeFirst()
            if expiry[first.id] == first.at { expiry[first.id] = nil }
        }
    }
}
