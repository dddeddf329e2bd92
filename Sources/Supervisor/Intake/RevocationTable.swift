import CoppiceShared
import DequeModule

/// The ids that have been revoked: as many and for as long as Celery keeps them (celery-wire §6.7).
struct RevocationTable {
    static let limit = 50_000
    /// Seconds.
    static let lifetime = 10_800.0

    private var expiry: [String: MonotonicTime] = [:]
    /// In the order of insertion, which is the order of expiry.
    private var order: Deque<(id: String, at: MonotonicTime)> = []

    var count: Int { expiry.count }

    func contains(_ id: String) -> Bool { expiry[id] != nil }

    mutating func insert(_ id: String, now: MonotonicTime) {
        let at = now.advanced(by: RevocationTable.lifetime)
        expiry[id] = at
        order.append((id, at))
        while let first = order.first, first.at <= now || order.count > RevocationTable.limit {
            order.removeFirst()
            // An id that was revoked again lives on with its later entry.
            if expiry[first.id] == first.at { expiry[first.id] = nil }
        }
    }
}
