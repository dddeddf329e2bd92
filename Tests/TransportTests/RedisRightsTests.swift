import CoppiceRedis
import CoppiceShared
import CoppiceSystem
import Testing

@testable import CoppiceTransport

/// A user that lacks one right: whatever it is, no script loses a message or makes two of one, and no session takes any.
@Suite(.ownThread) struct RedisRightsTests {
    private let fixture: RedisFixture
    private let scene: BrokerScene
    private let keys: RedisKeys
    private let dead = Incarnation()
    private let own = Incarnation()

    init() throws {
        fixture = try RedisFixture()
        scene = BrokerScene(fixture)
        keys = RedisKeys(fixture.url)
    }

    private var worker: RedisURL {
        var url = fixture.url
        url.servers[0].user = "worker"
        url.servers[0].password = "secret"
        return url
    }

    @discardableResult
    private func ask(_ words: String...) throws -> RedisValue { try ask(words) }

    @discardableResult
    private func ask(_ words: [String]) throws -> RedisValue {
        var command = RedisCommand()
        command.append(contentsOf: words)
        let answer = try fixture.ask(command)
        if let error = answer.error { throw DidNotCome(what: words.joined(separator: " "), seen: error) }
        return answer
    }

    private func allow(except rights: [String] = []) throws {
        try ask(["ACL", "SETUSER", "worker", "reset", "on", ">secret", "~*", "&*", "+@all"] + rights)
    }

    // MARK: scripts

    /// A script, what it finds, and where its messages are.
    enum Order: String, CaseIterable, CustomTestStringConvertible {
        case take, takeParked, conclude, concludeStarted, putBack, park, setAside, startEarly, restore, inherit, rescue, leave, moveParked
        case record

        var testDescription: String { rawValue }
    }

    private func script(_ order: Order) -> String {
        switch order {
        case .take, .takeParked: RedisScripts.text(.take)
        case .conclude, .concludeStarted, .putBack, .park, .setAside, .startEarly: RedisScripts.text(.commit)
        case .restore: RedisScripts.text(.restore)
        case .inherit: RedisScripts.text(.inherit)
        case .rescue: RedisScripts.text(.rescue)
        case .leave: RedisQueueScripts.leave
        case .moveParked: RedisQueueScripts.moveParked
        case .record: RedisScripts.text(.record)
        }
    }

    private var held: String { "\(own.id):1:0" }

    /// Lays one message to where the order finds it, and gives the order's arguments.
    private func prepare(_ order: Order) throws -> RedisCommand {
        let entry = "[message,\"\",\"a\"]"
        var command = RedisCommand("EVAL", script(order))
        func place(_ words: [String], _ arguments: [String]) {
            command.append(words.count)
            command.append(contentsOf: words + arguments)
        }
        func commit(_ step: Commit.Step, attempt: AttemptNote? = .over, publications: [TaskPublication] = []) {
            let places = [keys.unacked, keys.unackedIndex, keys.started, keys.dead, keys.deadMessages, keys.deadOrder, keys.deadSize]
            place(places, ["60", "celery-task-meta-", "0", "0", "10", "1000", keys.attempts, "60"])
            var commit = RedisCommit(command, keys: keys)
            commit.append(
                Commit(
                    DeliveryTag(held), queue: "a", step, taskID: "1", attempt: attempt, writes: [.named("1", .failure)],
                    publications: publications))
            command = commit.command
        }
        try ask("HSET", keys.nodes, own.id, "1.1")
        switch order {
        case .take, .takeParked:
            if order == .take {
                try ask("RPUSH", "a", "message")
            } else {
                try ask("HSET", keys.unacked, "parked-1:0", entry)
                try ask("ZADD", keys.unackedIndex, "1", "parked-1:0")
                try ask("ZADD", keys.parked("a"), "1", "parked-1:0")
            }
            place(
                [keys.unacked, keys.unackedIndex, keys.revoked, keys.nodes, keys.parked("a"), "a"],
                ["5", "1000000", own.id, "1", "1", "1", "", "0 3 6 9", "1", RedisTag.ending("a"), "0", RedisTag.ending("a")])
        case .conclude, .putBack, .park, .setAside, .startEarly:
            try ask("HSET", keys.unacked, held, entry)
            try ask("ZADD", keys.unackedIndex, "1", held)
            try ask("RPUSH", keys.attempts + "1", "story", "story")
            switch order {
            case .conclude: commit(.conclude, publications: [.named("2", queue: "next"), .named("3", queue: "next", priority: 9)])
            case .putBack: commit(.putBack(front: true), attempt: .withdrawn)
            case .park: commit(.park(until: .now))
            case .setAside: commit(.setAside(reason: "test"))
            default: commit(.startEarly, attempt: nil)
            }
        case .concludeStarted:
            try ask("HSET", keys.started, held, entry)
            commit(.conclude, publications: [.named("2", queue: "next"), .named("3", queue: "next", priority: 9)])
        case .restore:
            try ask("HSET", keys.unacked, held, entry)
            try ask("ZADD", keys.unackedIndex, "1", held)
            place([keys.nodes, keys.unacked, keys.unackedIndex], [own.id, "*", "", held, ""])
        case .inherit:
            try ask("HSET", keys.started, "\(dead.id):1:0", entry)
            place([keys.nodes, keys.started], [dead.id, "", own.id, "1", "\(dead.id):1:0", held])
        case .rescue:
            try ask("HSET", keys.unacked, "foreign", entry)
            try ask("ZADD", keys.unackedIndex, "1", "foreign")
            place([keys.unacked, keys.unackedIndex, "a", "b"], ["60", "foreign", entry, "message"])
        case .leave:
            try ask("LPUSH", keys.dead, "record")
            try ask("LPUSH", keys.deadOrder, "id")
            try ask("HSET", keys.deadMessages, "id", "message")
            try ask("SET", keys.deadSize, "7")
            place([keys.dead, keys.deadMessages, keys.deadOrder, keys.deadSize, "a", keys.attempts + "1"], ["id", "record"])
        case .moveParked:
            try ask("HSET", keys.unacked, "parked-1:0", entry)
            try ask("ZADD", keys.parked("a"), "1", "parked-1:0")
            place([keys.parked("a"), keys.parked("b"), keys.unacked], ["5", "1000000", RedisTag.ending("a"), RedisTag.ending("b")])
        case .record:
            try ask("SET", keys.claims + "m", held)
            let places = [keys.unacked, keys.unackedIndex, keys.started, keys.dead, keys.deadMessages, keys.deadOrder, keys.deadSize]
            place(places, ["60", "celery-task-meta-", "0", "0", "10", "1000", keys.attempts, "60"])
            command.append(contentsOf: ["D", held, "0", keys.claims + "m", "60", "id", "record", "message"])
        }
        return command
    }

    /// How many there are of what must be there once.
    private func counts(_ order: Order) throws -> [Int] {
        func count(_ words: String...) throws -> Int { try ask(words).integer ?? 0 }
        let waiting = try count("LLEN", "a")
        let held = try count("HLEN", keys.unacked)
        let started = try count("HLEN", keys.started)
        let next = try count("LLEN", "next") + count("LLEN", keys.list("next", step: 9))
        let dead = (try count("HLEN", keys.deadMessages), try count("LLEN", keys.dead), try count("LLEN", keys.deadOrder))
        switch order {
        // The message is there, or both that follow it are.
        case .conclude, .concludeStarted: return [held + started + next / 2 + next % 2 * 10]
        case .rescue:
            // In both lists or none.
            #expect(try count("LLEN", "b") == waiting)
            return [waiting + held]
        case .takeParked, .park, .moveParked:
            // Where it is parked its entry says so.
            let isInA = try ask("ZRANGE", keys.parked("a"), "0", "-1").array?.isEmpty == false
            let isInB = try ask("ZRANGE", keys.parked("b"), "0", "-1").array?.isEmpty == false
            let entries = try (ask("HGETALL", keys.unacked).array ?? []).compactMap(\.text)
            let isParked = entries.contains { $0.hasPrefix("parked-") }
            let isOfB = entries.contains { $0.hasSuffix("\"b\"]") }
            if isParked { #expect(isOfB ? isInB : isInA) }
            return [waiting + held]
        case .setAside: return [held + dead.0, held + dead.1, held + dead.2]
        case .leave: return [waiting + dead.0, waiting + dead.1, waiting + dead.2]
        case .record:
            let claim = try ask("GET", keys.claims + "m").text ?? ""
            let isOpen = claim.hasPrefix("finished") ? 0 : 1
            return [isOpen + dead.0, isOpen + dead.1]
        default: return [waiting + held + started]
        }
    }

    @Test(arguments: Order.allCases) func aScriptLosesNothingForWantOfACommand(order: Order) throws {
        let text = script(order)
        let commands = Set(text.matches(of: #/call\('([A-Z]+)'|try\('([A-Z]+)'/#).compactMap { ($0.1 ?? $0.2).map(String.init) })
        #expect(commands.count >= 3)
        for command in commands.sorted() {
            try ask("FLUSHALL")
            let call = try prepare(order)
            try allow(except: ["-" + command.lowercased()])
            let refused = try worker.ask(call).error
            let found = try counts(order)
            #expect(found.allSatisfy { $0 == 1 }, "\(order) without \(command): \(refused ?? "carried out"), \(found)")
            guard refused != nil else { continue }
            // Who is refused tries again, as often as it takes.
            _ = try worker.ask(call)
            try allow()
            let answer = try worker.ask(call)
            #expect(answer.error == nil)
            let after = try counts(order)
            #expect(after.allSatisfy { $0 == 1 }, "\(order) after \(command) was given back: \(after)")
        }
    }

    @Test(arguments: Order.allCases) func aScriptLosesNothingForWantOfAKey(order: Order) throws {
        let all = [
            keys.unacked, keys.unackedIndex, keys.nodes, keys.started, keys.dead, keys.deadMessages, keys.deadOrder, keys.deadSize, "a",
            "b",
            "next", keys.list("next", step: 9), keys.parked("a"), keys.parked("b"), keys.attempts + "1", keys.claims + "m",
            "celery-task-meta-1", keys.revoked,
        ]
        // Redis 7 knows rights to read only.
        for (key, right) in all.flatMap({ [($0, ""), ($0, "%R")] }) {
            try ask("FLUSHALL")
            let call = try prepare(order)
            let others = all.filter { $0 != key }.map { "~" + $0 }
            try ask(
                ["ACL", "SETUSER", "worker", "reset", "on", ">secret", "&*", "+@all"] + others + (right.isEmpty ? [] : ["\(right)~\(key)"]))
            _ = try worker.ask(call)
            let found = try counts(order)
            #expect(found.allSatisfy { $0 == 1 }, "\(order) with \(right.isEmpty ? "nothing" : "%R") on \(key): \(found)")
            _ = try worker.ask(call)
            try allow()
            #expect(try worker.ask(call).error == nil)
            let after = try counts(order)
            #expect(after.allSatisfy { $0 == 1 }, "\(order) after ~\(key) was given back: \(after)")
        }
    }

    // MARK: sessions

    private func session() throws -> SessionSeat {
        let incarnation = Incarnation()
        return SessionSeat(
            scene.stage,
            RedisBrokerSession(
                worker, results: worker, resultExpiry: 60, queues: ["a"], node: "celery@test", incarnation: incarnation, holding: []),
            incarnation: incarnation)
    }

    /// Each command of a script that a worker runs is tried.
    @Test func everyCommandIsTried() throws {
        let names: [RedisScripts.Name] =
            [.take, .look, .commit, .claim, .record, .check] + RedisScripts.Name.member + RedisScripts.Name.sweep
        let texts = names.map(RedisScripts.text) + [RedisScripts.revoke]
        let used = Set(
            texts.flatMap { $0.matches(of: #/call\('([A-Z]+)'|try\('([A-Z]+)'/#) }.compactMap { ($0.1 ?? $0.2).map(String.init) })
        let rights = RedisRights(keys, places: [], results: fixture.url, database: 0)
        let tried = Set(rights.trials.compactMap { $0.words.first })
        #expect(used.subtracting(tried).subtracting(["SELECT", "PUBLISH", "SETEX"]) == [])
    }

    @Test func aSessionNamesTheCommandThatItLacks() throws {
        try ask("LPUSH", "a", "message")
        let rights = RedisRights(keys, places: [], results: fixture.url, database: 0)
        for command in Set(rights.trials.compactMap { $0.words.first?.lowercased() }).sorted() + ["publish", "eval"] {
            try allow(except: ["-" + command])
            let seat = try session()
            let reason = try seat.lost()
            #expect(reason.contains("lacks a permission: the command +\(command);"), "\(command): \(reason)")
            scene.stage.leave(seat.seat)
        }
        // What was tried without DEL goes by itself.
        try scene.stage.wait("the trials to be gone") { try? ask("KEYS", "*").array?.count == 1 ? true : nil }
        #expect(try ask("LLEN", "a").integer == 1)
        // With all of them nothing is left behind but what a session makes.
        try allow()
        #expect(try session().stand().takeAll(1).count == 1)
        #expect(try ask("KEYS", "*probe*").array == [])
    }

    @Test func aSessionNamesTheKeyThatItLacks() throws {
        let patterns = ["~a*", "~unacked", "~unacked_index", "~unacked_mutex", "~coppice.*", "~_kombu.binding*", "~celery-task-meta-*"]
        let told = ["~a", "~unacked;", "~unacked_index", "~unacked_mutex", "~coppice.nodes", "", "~celery-task-meta-*"]
        try ask("LPUSH", "a", "message")
        for (index, name) in told.enumerated() where !name.isEmpty {
            var left = patterns
            left.remove(at: index)
            for right in [[], ["%R" + patterns[index]]] {
                try ask(["ACL", "SETUSER", "worker", "reset", "on", ">secret", "&*", "+@all"] + left + right)
                let seat = try session()
                let reason = try seat.lost() + ";"
                #expect(reason.contains("lacks a permission") && reason.contains(name), "\(patterns[index]): \(reason)")
                scene.stage.leave(seat.seat)
            }
        }
        try ask(["ACL", "SETUSER", "worker", "reset", "on", ">secret", "resetchannels", "&*pidbox", "&__*", "+@all"] + patterns)
        #expect(try session().lost().contains("the channel &celery-task-meta-*"))
        #expect(try ask("LLEN", "a").integer == 1)
    }

    // MARK: what stands in no index

    @Test func whatIsHeldWithoutAPlaceInTheIndexIsFound() throws {
        let message = String(decoding: Envelope.write(.named("1"), deliveryTag: "t"), as: UTF8.self)
        try ask("HSET", keys.unacked, "\(dead.id):1:0", "[\(message),\"\",\"celery\"]")
        try ask("HSET", keys.unacked, "foreign", "[\(message), \"\", \"celery\"]")
        let session = try scene.session()
        #expect(try session.takeAll(1).map(\.id) == ["1"])
        let notice = try session.seat.next("notice") { if case .notice(let text) = $0 { text } else { nil } }
        #expect(notice.contains("2 held message(s)"))
        // Its holder may live: kombu's rule.
        let score = try #require(try ask("ZSCORE", keys.unackedIndex, "foreign").text.flatMap { Double($0) })
        #expect(abs(score - WallTime.now.seconds) < 5)
    }
}
