import CoppiceRedis
import CoppiceShared

/// What the commit script and the ledger's record script have in common: their keys and first arguments, how they are given records
/// and attempts, and what they answer.
struct CommitEncoding {
    let keys: RedisKeys
    /// The broker's or the ledger's; results may have another one.
    let database: Int
    let results: RedisURL
    let resultExpiry: Int
    let deadLetters: DeadLetterLimits

    /// The beginning of a call of the script.
    func command(_ script: RedisScripts.Name, on dialogue: RedisDialogue) -> RedisCommand {
        var command = dialogue.command(
            script,
            keys: [
                keys.unacked, keys.unackedIndex, keys.started, keys.dead, keys.deadMessages, keys.deadOrder, keys.deadSize,
            ])
        command.append(resultExpiry)
        command.append(results.resultPrefix)
        command.append(results.database)
        command.append(database)
        command.append(deadLetters.records)
        command.append(deadLetters.bytes)
        command.append(keys.attempts)
        command.append(AttemptNote.lifetime)
        return command
    }

    static func append(_ writes: [ResultWrite], to command: inout RedisCommand) {
        command.append(writes.count)
        for write in writes { command.append(write) }
    }

    /// The operation's second letter.
    static func letter(_ attempt: AttemptNote?) -> String {
        switch attempt {
        case nil: ""
        case .begins: "b"
        case .died: "d"
        case .withdrawn: "w"
        case .over: "o"
        }
    }

    static func append(_ attempt: AttemptNote?, of taskID: String, to command: inout RedisCommand) {
        guard let attempt else { return }
        command.append(taskID)
        switch attempt {
        case .begins(let story), .died(let story): command.append(story.encoded)
        case .withdrawn, .over: command.append("")
        }
    }

    static func append(_ record: DeadLetterRecord, to command: inout RedisCommand) {
        command.append(record.id)
        command.append(record.encoded)
    }

    /// The verdicts in a script's answer, and whether dead messages had to make room; nil for what makes no sense.
    ///
    /// - Parameter attempts: what each of the orders noted.
    static func verdicts(_ answer: RedisValue, attempts: [AttemptNote?]) -> (verdicts: [CommitVerdict], freesBody: Bool)? {
        guard let parts = answer.array, let marks = parts.first?.bytes, marks.count == attempts.count else { return nil }
        var earlier = parts.dropFirst()
        let verdicts = zip(attempts, marks).map { attempt, mark -> CommitVerdict in
            guard mark != UInt8(ascii: "0") else { return .void }
            guard case .begins = attempt else { return .done }
            return .begun(earlier: (earlier.popFirst()?.array ?? []).compactMap { $0.bytes.flatMap(AttemptStory.init) })
        }
        return (verdicts, marks.contains(UInt8(ascii: "2")))
    }
}
