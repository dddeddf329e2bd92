import CoppiceRedis
import CoppiceShared

/// Puts the record script's arguments together.
struct RedisLedgerRecord {
    private(set) var command: RedisCommand
    private let keys: RedisKeys

    /// - Parameter command: the call's beginning, of `CommitEncoding`.
    init(_ command: RedisCommand, keys: RedisKeys) {
        self.command = command
        self.keys = keys
    }

    mutating func append(_ entry: LedgerEntry) {
        command.append(operation(entry.step) + CommitEncoding.letter(entry.attempt))
        command.append(entry.mark)
        CommitEncoding.append(entry.writes, to: &command)
        command.append(keys.claims + entry.message)
        command.append(ClaimLifetime.finished)
        switch entry.step {
        case .keep, .finish, .release: break
        case .start: command.append(Array("[".utf8) + entry.envelope + Array(RedisTag.ending(entry.queue).utf8))
        case .setAside(let reason, let deaths):
            CommitEncoding.append(DeadLetterRecord(reason: reason, queue: entry.queue, taskID: entry.taskID, deaths: deaths), to: &command)
            command.append(entry.envelope)
        }
        CommitEncoding.append(entry.attempt, of: entry.taskID, to: &command)
    }

    private func operation(_ step: LedgerEntry.Step) -> String {
        switch step {
        case .keep: "K"
        case .start: "S"
        case .finish: "C"
        case .release: "X"
        case .setAside: "D"
        }
    }
}
