import CoppiceRedis
import CoppiceShared

/// Puts the commit script's arguments together.
struct RedisCommit {
    private(set) var command: RedisCommand
    private let keys: RedisKeys

    init(digest: String, keys: RedisKeys, results: RedisURL, resultExpiry: Int, database: Int, deadLetters: DeadLetterLimits) {
        self.keys = keys
        command = RedisCommand("EVALSHA", digest, "7", keys.unacked, keys.unackedIndex, keys.started)
        command.append(keys.dead)
        command.append(keys.deadMessages)
        command.append(keys.deadOrder)
        command.append(keys.deadSize)
        command.append(resultExpiry)
        command.append(results.resultPrefix)
        command.append(results.database)
        command.append(database)
        command.append(deadLetters.records)
        command.append(deadLetters.bytes)
        command.append(keys.attempts)
        command.append(AttemptNote.lifetime)
    }

    mutating func append(_ commit: Commit) {
        command.append(operation(commit.step) + note(commit.attempt))
        command.append(commit.tag.value)
        command.append(commit.writes.count)
        for write in commit.writes {
            command.append(write.taskID)
            command.append(write.reach == .announce ? "A" : write.state == .success ? "S" : "O")
            command.append(write.record)
        }
        command.append(commit.publications.count)
        for publication in commit.publications {
            command.append(keys.list(publication.routingKey, step: RedisKeys.step(ofPriority: publication.priority)))
            command.append(Envelope.write(publication, deliveryTag: Incarnation.randomUUID()))
        }
        let step = RedisTag.step(commit.tag.value)
        switch commit.step {
        case .startLate, .keep, .startEarly, .conclude: break
        case .putBack:
            command.append(RedisTag.ending(commit.queue).utf8.count)
            command.append(keys.list(commit.queue, step: Int(step) ?? 0))
        case .park(let until):
            command.append(String(until.seconds))
            command.append(RedisTag.parked(step: step))
            command.append(keys.parked(commit.queue))
        case .setAside(let reason, let deaths):
            let record = DeadLetterRecord(
                id: Incarnation.randomID(), reason: reason, queue: commit.queue, taskID: commit.taskID, deaths: deaths, at: .now)
            command.append(record.id)
            command.append(record.encoded)
            command.append(RedisTag.ending(commit.queue).utf8.count)
        }
        if let attempt = commit.attempt {
            command.append(commit.taskID)
            switch attempt {
            case .begins(let story), .died(let story): command.append(story.encoded)
            case .withdrawn, .over: command.append("")
            }
        }
    }

    private func note(_ attempt: AttemptNote?) -> String {
        switch attempt {
        case nil: ""
        case .begins: "b"
        case .died: "d"
        case .withdrawn: "w"
        case .over: "o"
        }
    }

    /// The verdicts in the script's answer for these commits, and whether dead messages had to make room; nil for what makes no sense.
    static func verdicts(_ answer: RedisValue, of commits: some Collection<Commit>) -> (verdicts: [CommitVerdict], freesBody: Bool)? {
        guard let parts = answer.array, let marks = parts.first?.bytes, marks.count == commits.count else { return nil }
        var earlier = parts.dropFirst()
        let verdicts = zip(commits, marks).map { commit, mark -> CommitVerdict in
            guard mark != UInt8(ascii: "0") else { return .void }
            guard case .begins = commit.attempt else { return .done }
            return .begun(earlier: (earlier.popFirst()?.array ?? []).compactMap { $0.bytes.flatMap(AttemptStory.init) })
        }
        return (verdicts, marks.contains(UInt8(ascii: "2")))
    }

    private func operation(_ step: Commit.Step) -> String {
        switch step {
        case .startLate, .keep: "K"
        case .startEarly: "E"
        case .conclude: "C"
        case .putBack(let front): front ? "F" : "B"
        case .park: "P"
        case .setAside: "D"
        }
    }
}
