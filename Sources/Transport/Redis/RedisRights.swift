import CoppiceRedis
import CoppiceShared

/// The rights that a Redis user must have, tried before anything is taken: every command of our scripts on a key of our own, and every key of
/// ours and of the queues by a command that changes nothing.
///
/// A script that meets a right it lacks loses nothing (`RedisScripts`), but it does nothing either, and its error names no command.
struct RedisRights {
    /// A harmless command, and what it touches.
    struct Trial {
        var words: [String]
        /// A pattern, where others of the kind will come.
        var touches: Right

        /// The right that is lacked if it is refused with these words.
        func lacks(_ error: String) -> Right {
            error.contains(" key") || error.contains("channel") ? touches : .command(words[0].lowercased())
        }
    }

    enum Right: Hashable {
        case command(String)
        case key(String)
        case channel(String)
    }

    /// Trials in one script: Redis serves no other client meanwhile.
    private static let batch = 500
    /// Rights that are named in one line.
    private static let mostNamed = 10

    private(set) var trials: [Trial] = []
    private let results: RedisURL?
    private let database: Int

    /// - Parameters:
    ///   - places: what messages are taken from.
    ///   - results: where results are written by the same scripts; nil if they are not.
    ///   - database: the broker's own, or the ledger's.
    init(_ keys: RedisKeys, places: [RedisServedLists.Place], results: RedisURL?, database: Int) {
        self.results = results
        self.database = database
        let own = keys.probe + Incarnation.randomID()
        for words in RedisRights.commands(on: own) { trials.append(Trial(words: words, touches: .key(keys.probe + "*"))) }
        for key in [keys.unacked, keys.nodes, keys.started, keys.deadMessages] { add(key, ["HGET", key, ""], ["HDEL", key, ""]) }
        for key in [keys.unackedIndex, keys.revoked] { add(key, ["ZSCORE", key, ""], ["ZREM", key, ""]) }
        for key in [keys.dead, keys.deadOrder] { add(key, ["LRANGE", key, "1", "0"], ["RPOP", key, "0"]) }
        for key in [keys.deadSize, keys.unackedMutex] {
            // They are no hashes: it is refused, or fails.
            add(key, ["GETRANGE", key, "1", "0"], ["HDEL", key, ""])
        }
        for prefix in [keys.attempts, keys.claims] { add(prefix + "*", ["HGET", prefix, ""], ["HDEL", prefix, ""]) }
        for place in places {
            let key = place.key
            if place.step == nil {
                add(key, ["ZSCORE", key, ""], ["ZREM", key, ""])
            } else {
                add(key, ["LRANGE", key, "1", "0"], ["RPOP", key, "0"])
            }
        }
    }

    private mutating func add(_ pattern: String, _ ways: [String]...) {
        for words in ways { trials.append(Trial(words: words, touches: .key(pattern))) }
    }

    /// Every command of the scripts that a worker runs, in such an order that nothing is left behind: the key is a string when those
    /// come that would make another of it, and gone at the end.
    private static func commands(on key: String) -> [[String]] {
        let changeNothing = [
            ["DEL", key], ["TIME"], ["EXISTS", key], ["TYPE", key], ["GET", key], ["GETRANGE", key, "0", "0"], ["SET", key, "", "XX"],
            ["HGET", key, ""], ["HDEL", key, ""], ["HLEN", key], ["HEXISTS", key, ""], ["HKEYS", key], ["HSTRLEN", key, ""],
            ["HGETALL", key], ["LLEN", key], ["LRANGE", key, "0", "0"], ["LINDEX", key, "0"], ["LSET", key, "0", ""],
            ["LTRIM", key, "0", "0"], ["RPOP", key], ["ZADD", key, "XX", "0", ""], ["ZREM", key, ""], ["ZCARD", key], ["ZSCORE", key, ""],
            ["ZSCAN", key, "0"], ["ZRANGEBYSCORE", key, "0", "0"], ["ZREVRANGE", key, "0", "0"], ["ZREMRANGEBYSCORE", key, "1", "0"],
            ["ZREMRANGEBYRANK", key, "1", "0"], ["SMEMBERS", key],
        ]
        let fail = [
            ["INCRBY", key, "0"], ["DECRBY", key, "0"], ["HSET", key, "", ""], ["LPUSH", key, ""], ["RPUSH", key, ""], ["SADD", key, ""],
        ]
        return changeNothing + [["SETEX", key, "1", ""]] + fail + [["EXPIRE", key, "1"], ["DEL", key]]
    }

    /// How a result is written, in a script of its own: it goes to another database.
    private var resultTrials: [Trial] {
        guard let results else { return [] }
        let id = "coppice-probe-" + Incarnation.randomID()
        let key = results.resultPrefix + id
        let (keys, channels) = (Right.key(results.resultPrefix + "*"), Right.channel(results.resultPrefix + "*"))
        let there = results.database == database ? [] : [(["SELECT", String(results.database)], keys)]
        let back = results.database == database ? [] : [(["SELECT", String(database)], keys)]
        // A client that listens to all results hears it, and reads it as one.
        let record = ResultRecord(taskID: id, state: .started, result: Array("null".utf8))
        let ways: [(words: [String], touches: Right)] = [
            (["GETRANGE", key, "0", "0"], keys),
            // A first write that takes no memory.
            (["DEL", key], keys), (["SETEX", key, "1", ""], keys),
            (["PUBLISH", key, String(decoding: record.encoded, as: UTF8.self)], channels), (["DEL", key], keys),
        ]
        return (there + ways + back).map { Trial(words: $0.words, touches: $0.touches) }
    }

    /// Tries them all; the script has been loaded.
    ///
    /// - Parameter done: is told why nothing can be taken; nil: nothing is lacked.
    func probe(on dialogue: RedisDialogue, then done: @escaping (_ refusal: String?) -> Void) {
        var lacked: [Right] = []
        var failures: [String] = []
        let inResults = resultTrials
        let parts = stride(from: 0, to: trials.count, by: RedisRights.batch).map {
            Array(trials[$0..<min($0 + RedisRights.batch, trials.count)])
        }
        for (index, part) in (parts + [inResults]).enumerated() {
            let what = index == parts.count ? "results can't be written: " : ""
            var arguments: [String] = []
            for trial in part { arguments += [String(trial.words.count)] + trial.words }
            dialogue.call(.rights, keys: [], arguments: arguments, as: \.array) { found in
                for at in stride(from: 0, to: found.count - 1, by: 2) {
                    guard let number = found[at].integer, let error = found[at + 1].text else { continue }
                    if number == 0 {
                        failures.append(what + explain(error))
                    } else if number <= part.count {
                        lacked.append(part[number - 1].lacks(error))
                    }
                }
            }
        }
        // `revoke`, and an operator's orders.
        dialogue.ask(RedisCommand("EVAL", "return 0", "0"), tolerant: true) {
            if $0.error != nil { lacked.append(.command("eval")) }
            done(refusal(lacked) ?? failures.first)
        }
        dialogue.flush()
    }

    private func explain(_ error: String) -> String {
        error.contains("DB index") ? "the server has no database \(results?.database ?? 0)" : RedisFault.explain(error)
    }

    private func refusal(_ lacked: [Right]) -> String? {
        guard !lacked.isEmpty else { return nil }
        var named: Set<Right> = []
        let rights = lacked.filter { named.insert($0).inserted }
        let texts = rights.prefix(RedisRights.mostNamed).map(text)
        let further = rights.count > texts.count ? " and \(rights.count - texts.count) more" : ""
        return "the Redis user lacks a permission: \(texts.joined(separator: ", "))\(further); until it has it nothing is taken"
    }

    private func text(_ right: Right) -> String {
        switch right {
        case .command(let name): "the command +\(name)"
        case .key(let pattern): "the key ~\(pattern)"
        case .channel(let pattern): "the channel &\(pattern)"
        }
    }
}
