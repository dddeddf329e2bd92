import CoppiceRedis
import CoppiceShared
import CoppiceSystem

extension RedisURL {
    /// One command over a connection of its own, and its reply.
    func ask(_ command: RedisCommand) throws -> RedisValue {
        let connection = RedisConnection(self, clientName: "test", now: .now)
        defer { connection.close() }
        let end = MonotonicTime.now.advanced(by: 5)
        while MonotonicTime.now < end {
            for event in connection.takeEvents() {
                switch event {
                case .open:
                    connection.send(command, label: 1, now: .now)
                    connection.flush()
                case .reply(_, let value): return value
                case .lost(let reason): throw DidNotCome(what: "a reply", seen: reason)
                }
            }
            try Poll.turn([connection], until: end)
        }
        throw DidNotCome(what: "a reply", seen: "nothing")
    }
}
