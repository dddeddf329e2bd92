/// What INFO says of a server, as far as it matters to a broker.
struct RedisServerFacts {
    private let fields: [Substring: Substring]

    init(info: String) {
        var fields: [Substring: Substring] = [:]
        for line in info.split(whereSeparator: \.isNewline) {
            guard let colon = line.firstIndex(of: ":") else { continue }
            fields[line[..<colon]] = line[line.index(after: colon)...]
        }
        self.fields = fields
    }

    /// Why this server can't be a broker; nil if it can.
    var refusal: String? {
        if fields["cluster_enabled"] == "1" {
            return "this Redis is a node of a Redis Cluster, which is not supported: name a server that stands alone"
        }
        if fields["role"] == "slave" { return "this Redis is a read-only replica: point the broker at its primary" }
        if let version = fields["redis_version"] {
            let parts = version.split(separator: ".").compactMap { Int($0) }
            if parts.count >= 2, (parts[0], parts[1]) < (6, 2) { return "Redis \(version) is too old: 6.2 or later is needed" }
        }
        return nil
    }

    /// Whether it refuses what takes memory.
    var isFull: Bool {
        func bytes(_ name: Substring) -> Int { fields[name].flatMap { Int($0) } ?? 0 }
        let limit = bytes("maxmemory")
        // What of its memory counts, as Redis reckons it.
        return limit > 0 && bytes("used_memory").subtractingReportingOverflow(bytes("mem_not_counted_for_evict")).partialValue >= limit
    }

    /// What the operator should know; nil if all is well.
    var warning: String? {
        guard let policy = fields["maxmemory_policy"], policy != "noeviction" else { return nil }
        return
            "Redis may evict tasks and results: its maxmemory-policy is \(policy); set it to noeviction (CONFIG SET maxmemory-policy noeviction)"
    }
}
