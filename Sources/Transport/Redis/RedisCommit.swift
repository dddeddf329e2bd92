import CoppiceRedis
import CoppiceShared

/// Puts the commit script's arguments together.
struct RedisCommit {
    private(set) var command: RedisCommand
    private let keys: RedisKeys

    /// - Parameter command: the call's beginning, of `CommitEncoding`.
    init(_ command: RedisCommand, keys: RedisKeys) {
        self.command = command
        self.keys = keys
    }

    mutating func append(_ commit: Commit, now: WallTime = .now) {
        command.append(operation(commit.step) + CommitEncoding.letter(commit.attempt))
        command.append(commit.tag.value)
        CommitEncoding.append(commit.writes, to: &command)
        command.append(commit.publications.count)
        for publication in commit.publications {
            command.append(keys.list(publication.routingKey, priority: publication.priority))
            // A tag of its own for each: to a Python worker it is the key of what it holds.
            command.append(Envelope.write(publication, deliveryTag: Incarnation.randomUUID()))
        }
        let step = RedisTag.step(commit.tag.value)
        switch commit.step {
        case .keep, .startEarly, .conclude: break
        case .putBack:
            command.append(RedisTag.ending(commit.queue).utf8.count)
            command.append(keys.list(commit.queue, step: Int(step) ?? 0))
        case .park(let until):
            // The server adds it to its own clock, by which it releases what is due: ours may be another.
            command.append(String(until.seconds - now.seconds))
            command.append(RedisTag.parked(step: step))
            command.append(keys.parked(commit.queue))
        case .setAside(let reason, let deaths):
            CommitEncoding.append(
                DeadLetterRecord(reason: reason, queue: commit.queue, taskID: commit.taskID, deaths: deaths), to: &command)
            command.append(RedisTag.ending(commit.queue).utf8.count)
        }
        CommitEncoding.append(commit.attempt, of: commit.taskID, to: &command)
    }

    private func operation(_ step: Commit.Step) -> String {
        switch step {
        case .keep: "K"
        case .startEarly: "E"
        case .conclude: "C"
        case .putBack(let front): front ? "F" : "B"
        case .park: "P"
        case .setAside: "D"
        }
    }
}
