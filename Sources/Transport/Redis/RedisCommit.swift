import CoppiceRedis
import CoppiceShared

/// Puts the commit script's arguments together.
struct RedisCommit {
    private(set) var command: RedisCommand
    private let keys: RedisKeys
    private let routes: RedisRoutes

    /// - Parameter routes: knows every exchange that the commits' publications name.
    init(
        digest: String, keys: RedisKeys, routes: RedisRoutes, results: RedisURL, resultExpiry: Int, database: Int,
        deadLetters: DeadLetterLimits
    ) {
        self.keys = keys
        self.routes = routes
        command = RedisEffects.command(
            digest: digest, keys: keys, results: results, resultExpiry: resultExpiry, database: database, deadLetters: deadLetters)
    }

    mutating func append(_ commit: Commit) {
        command.append(operation(commit.step) + RedisEffects.letter(commit.attempt))
        command.append(commit.tag.value)
        RedisEffects.append(commit.writes, to: &command)
        let copies = commit.publications.flatMap { publication in routes.destinations(of: publication).map { (publication, $0) } }
        command.append(copies.count)
        for (publication, destination) in copies {
            switch destination {
            case .list(let key): command.append("L" + key)
            case .channel(let name): command.append("P" + name)
            }
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
            command.append(String(until.seconds))
            command.append(RedisTag.parked(step: step))
            command.append(keys.parked(commit.queue))
        case .setAside(let reason, let deaths):
            RedisEffects.append(
                DeadLetterRecord(reason: reason, queue: commit.queue, taskID: commit.taskID, deaths: deaths), to: &command)
            command.append(RedisTag.ending(commit.queue).utf8.count)
        }
        RedisEffects.append(commit.attempt, of: commit.taskID, to: &command)
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
