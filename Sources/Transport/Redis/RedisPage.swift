import CoppiceRedis

/// One page of a walk over keys, a hash or a sorted set (SCAN and its kin).
struct RedisPage {
    /// Where the next one begins.
    let next: String
    let items: [RedisValue]

    var isLast: Bool { next == "0" }

    /// nil for what is no page.
    init?(_ value: RedisValue) {
        guard let parts = value.array, parts.count == 2, let next = parts[0].text, let items = parts[1].array else { return nil }
        self.next = next
        self.items = items
    }
}
