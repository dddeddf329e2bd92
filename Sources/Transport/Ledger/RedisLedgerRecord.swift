import CoppiceRedis
import CoppiceShared

/// Puts the record script's arguments together.
struct RedisLedgerRecord {
    private(set) var command: RedisCommand
    private let keys: RedisKeys

    init(digest: String, keys: RedisKeys, url: RedisURL, resultExpiry: Int, deadLetters: DeadLetterLimits) {
        self.keys = keys
        command = RedisEffects.command(
            digest: digest, keys: keys, results: url, resultExpiry: resultExpiry, database: url.database, deadLetters: deadLetters)
    }

    mutating func append(_ entry: LedgerEntry) {
        command.append(operation(entry.step) + RedisEffects.letter(entry.attempt))
        command.append(entry.mark)
        RedisEffects.append(entry.writes, to: &command)
        command.append(keys.claims + entry.message)
        command.append(ClaimLifetime.finished)
        switch entry.step {
        case .keep, .finish, .release: break
        case .start: command.append(Array("[".utf8) + entry.envelope + Array(RedisTag.ending(entry.queue).utf8))
        case .setAside(let reason, let deaths):
            RedisEffects.append(DeadLetterRecord(reason: reason, queue: entry.queue, taskID: entry.taskID, deaths: deaths), to: &command)
            command.append(entry.envelope)
        }
        RedisEffects.append(entry.attempt, of: entry.taskID, to: &command)
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
