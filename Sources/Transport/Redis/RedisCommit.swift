import CoppiceRedis
import CoppiceShared

/// Puts the commit script's arguments together.
struct RedisCommit {
    private(set) var command: RedisCommand
    private let keys: RedisKeys

    init(digest: String, keys: RedisKeys, results: RedisURL, resultExpiry: Int, database: Int) {
        self.keys = keys
        command = RedisCommand("EVALSHA", digest, "5", keys.unacked, keys.unackedIndex, keys.started)
        command.append(keys.dead)
        command.append(keys.deadMessages)
        command.append(resultExpiry)
        command.append(results.resultPrefix)
        command.append(results.database)
        command.append(database)
        command.append(RedisKeys.deadRecordLimit)
        command.append(RedisKeys.deadMessageLimit)
    }

    mutating func append(_ commit: Commit) {
        command.append(operation(commit.step))
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
        case .setAside(let reason, let taskID):
            let record = DeadLetterRecord(id: Incarnation.randomID(), reason: reason, queue: commit.queue, taskID: taskID, at: .now)
            command.append(record.id)
            command.append(record.encoded)
            command.append(RedisTag.ending(commit.queue).utf8.count)
        }
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
