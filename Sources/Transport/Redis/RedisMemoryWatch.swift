import CoppiceRedis

/// Says when the server is at its `maxmemory`: what is there is worked off, but nobody can send, and it would not show here.
final class RedisMemoryWatch {
    /// Renewals of the lease between two looks, a second each.
    private static let rhythm = 5

    private let member: RedisMember
    private var turns = 0
    private var isFull = false

    init(_ member: RedisMember) { self.member = member }

    /// To be called with each renewal of the lease.
    func turn() {
        turns += 1
        guard turns.isMultiple(of: RedisMemoryWatch.rhythm) else { return }
        // INFO may be forbidden; nothing depends on it.
        member.dialogue.ask(RedisCommand("INFO", "memory"), tolerant: true) { [unowned self] in
            let wasFull = isFull
            isFull = RedisServerFacts(info: $0.text ?? "").isFull
            guard isFull != wasFull else { return }
            member.report(
                .notice(
                    isFull
                        ? "Redis is at its maxmemory: it takes no new messages, and those that are there are worked off"
                        : "Redis is below its maxmemory again"))
        }
        member.dialogue.flush()
    }
}
