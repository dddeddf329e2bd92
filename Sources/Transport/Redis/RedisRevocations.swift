import CoppiceRedis

/// Revoked ids in Redis: a sorted set, in the order of their marks.
enum RedisRevocations {
    static func store(_ ids: [String], _ keys: RedisKeys) -> RedisCommand {
        var command = RedisCommand("EVAL", RedisScripts.revoke, "1", keys.revoked)
        command.append(Revocations.lifetime * 1_000_000)
        command.append(Revocations.limit)
        command.append(Revocations.renewal * 1_000_000)
        command.append(contentsOf: ids)
        return command
    }

    /// - Parameter mark: empty: from the first.
    static func fetch(after mark: String, _ keys: RedisKeys) -> RedisCommand {
        RedisCommand("ZRANGEBYSCORE", keys.revoked, mark.isEmpty ? "-inf" : "(" + mark, "+inf", "WITHSCORES")
    }

    static func read(_ answer: [RedisValue]) -> (ids: [String], newest: String?) {
        let parts = answer.compactMap(\.text)
        return (stride(from: 0, to: parts.count - 1, by: 2).map { parts[$0] }, parts.count > 1 ? parts.last : nil)
    }
}
