import CoppiceRedis
import CoppiceShared
import CoppiceSystem
import CoppiceTransport
import Foundation
import Testing

/// A Redis that forgets, is full, or may not write.
@Suite(.ownThread) struct RedisTroubleTests {
    private let fixture: RedisFixture
    private let scene: BrokerScene

    init() throws {
        fixture = try RedisFixture(options: ["--enable-protected-configs", "yes"])
        scene = BrokerScene(fixture)
    }

    private func ask(_ words: String...) throws -> RedisValue {
        var command = RedisCommand()
        command.append(contentsOf: words)
        return try fixture.ask(command)
    }

    @Test func forgottenScriptsAreGivenAgainWithTheNextConnection() throws {
        try scene.send((0..<200).map { "task-\($0)" })
        let first = try scene.session()
        let taken = try first.takeAll(200)
        #expect(try ask("SCRIPT", "FLUSH").error == nil)
        first.session.commit([Commit(taken[0].tag, queue: "celery", .conclude)], as: 1)
        first.session.flush()
        #expect(try first.lost().contains("scripts"))
        scene.stage.leave(first.seat)
        let session = try scene.session(incarnation: first.incarnation, holding: taken.map(\.tag))
        // More than one script's worth, and steps of one message that must not change places.
        let steps = taken.flatMap { message in
            [
                Commit(message.tag, queue: message.queue, .keep, writes: [.named(message.id, .started)]),
                Commit(
                    message.tag, queue: message.queue, .conclude, writes: [.named(message.id, .failure)], publications: [.named("next")]),
            ]
        }
        #expect(try session.commit(steps) == steps.map { _ in true })
        #expect(try ask("HLEN", "unacked").integer == 0)
        #expect(try ask("LLEN", "celery").integer == 200)
        for id in ["task-0", "task-99", "task-199"] { #expect(try scene.state(of: id) == "FAILURE") }
    }

    @Test func aFullServerIsWorkedOff() throws {
        try scene.send(["1", "2", "3"])
        #expect(try ask("CONFIG", "SET", "maxmemory", "1000").error == nil)
        #expect(try ask("SET", "a", "b").error?.hasPrefix("OOM") == true)
        let session = try scene.session()
        let taken = try session.take(10)
        #expect(taken.map(\.id) == ["1", "2", "3"])
        #expect(try session.commit(taken[0], .keep, writes: [.named("1", .started)]))
        #expect(try session.commit(taken[1], .startEarly))
        for message in taken { #expect(try session.commit(message, .conclude, writes: [.named(message.id, .success)])) }
        #expect(try scene.state(of: "3") == "SUCCESS")
        // The lease is renewed each second.
        try scene.stage.pass(seconds: 2.5)
        #expect(try session.take(1).isEmpty)
        _ = try session.seat.next("notice") { if case .notice(let text) = $0, text.contains("maxmemory") { text } else { nil } }
        // Who sends is told.
        let sender = fixture.makeSender()
        let seat = scene.stage.add(sender) { sender.takeEvents() }
        try seat.next("standing") { if case .standing = $0 { true } else { nil } }
        sender.publish(.named("4"))
        let reason = try seat.next("lost") { if case .lost(let reason) = $0 { reason } else { nil } }
        #expect(reason.contains("maxmemory"))
    }

    @Test func aPrimaryThatBecomesAReplicaIsLeft() throws {
        let session = try scene.session()
        #expect(try ask("REPLICAOF", "127.0.0.1", "1").error == nil)
        #expect(try session.lost().contains("read-only replica"))
    }

    @Test func aServerThatCannotSaveIsLeft() throws {
        let session = try scene.session()
        let folder = try TemporaryFolder()
        #expect(try ask("CONFIG", "SET", "save", "3600 1").error == nil)
        #expect(try ask("CONFIG", "SET", "dir", folder.path).error == nil)
        try FileManager.default.removeItem(atPath: folder.path)
        #expect(try ask("BGSAVE").error == nil)
        #expect(try session.lost().contains("can't save"))
    }

    @Test func aPausedServerIsLeftAndComesBack() throws {
        let session = try scene.session()
        let start = MonotonicTime.now
        #expect(try ask("CLIENT", "PAUSE", "8000", "ALL").error == nil)
        #expect(try session.lost().contains("silent"))
        #expect(MonotonicTime.now.seconds(since: start) < 7.5)
    }

    // MARK: what can't be written

    /// Makes what a verdict needs unwritable, and writable again.
    enum Obstacle: String, CaseIterable, CustomTestStringConvertible {
        case announcement, list, attempts, deadLetters

        var testDescription: String { rawValue }
    }

    private func put(_ obstacle: Obstacle) throws {
        switch obstacle {
        case .announcement: try #require(try ask("ACL", "SETUSER", "default", "resetchannels", "&*pidbox", "&__*").error == nil)
        case .list: _ = try ask("SET", "next", "a string")
        case .attempts: _ = try ask("SET", "coppice.attempts.1", "a string")
        case .deadLetters: _ = try ask("SET", "coppice.dead", "a string")
        }
    }

    private func remove(_ obstacle: Obstacle) throws {
        switch obstacle {
        case .announcement: try #require(try ask("ACL", "SETUSER", "default", "allchannels").error == nil)
        case .list: _ = try ask("DEL", "next")
        case .attempts: _ = try ask("DEL", "coppice.attempts.1")
        case .deadLetters: _ = try ask("DEL", "coppice.dead")
        }
    }

    @Test(arguments: Obstacle.allCases) func whatCannotBeCarriedOutLosesNothing(obstacle: Obstacle) throws {
        try scene.send(["1"])
        let first = try scene.session()
        let message = try #require(try first.takeAll(1).first)
        try put(obstacle)
        let commit = Commit(
            message.tag, queue: "celery", obstacle == .deadLetters ? .setAside(reason: "test") : .conclude, taskID: "1", attempt: .over,
            writes: [.named("1", .failure)], publications: [.named("2", queue: "next")])
        first.session.commit([commit], as: 1)
        first.session.flush()
        _ = try first.lost()
        scene.stage.leave(first.seat)
        #expect(try ask("HLEN", "unacked").integer == 1)
        #expect(try ask("ZCARD", "unacked_index").integer == 1)
        try remove(obstacle)
        #expect(try ask("LLEN", "next").integer == 0)
        let next = try scene.session(incarnation: first.incarnation, holding: [message.tag])
        #expect(try next.commit([commit]) == [true])
        #expect(try scene.state(of: "1") == "FAILURE")
        #expect(try ask("LLEN", "next").integer == 1)
        #expect(try ask("HLEN", "unacked").integer == 0)
    }

    @Test func resultsThatCannotBeWrittenAreToldBeforeAnythingIsTaken() throws {
        var results = fixture.url
        results.database = 99
        let session = RedisBrokerSession(
            fixture.url, results: results, resultExpiry: 60, queues: ["celery"], node: "celery@test", incarnation: Incarnation(),
            holding: [])
        let seat = SessionSeat(scene.stage, session, incarnation: Incarnation())
        #expect(try seat.lost() == "results can't be written: the server has no database 99")
        #expect(seat.seat.popFirst { if case .standing = $0 { true } else { nil } } == nil)
        // What was tried leaves no trace.
        results.database = 2
        let other = RedisBrokerSession(
            fixture.url, results: results, resultExpiry: 60, queues: ["celery"], node: "celery@test", incarnation: Incarnation(),
            holding: [])
        _ = try SessionSeat(scene.stage, other, incarnation: Incarnation()).stand()
        #expect(try results.ask(RedisCommand("DBSIZE")).integer == 0)
    }

    // MARK: a full server

    @Test func aFullServerLetsAMasterBackIn() throws {
        try scene.send(["1", "2"])
        let first = try scene.session()
        let taken = try first.takeAll(2)
        #expect(try first.commit(taken[0], .startEarly))
        scene.stage.leave(first.seat)
        #expect(try ask("CONFIG", "SET", "maxmemory", "1000").error == nil)
        // It knows of neither: the one goes back, the other is its to conclude.
        let next = try scene.session(incarnation: first.incarnation)
        let orphans = try next.seat.next("orphaned") { if case .orphaned(let messages) = $0 { messages } else { nil } }
        #expect(orphans.map(\.id) == ["1"])
        #expect(try next.takeAll(1).map(\.id) == ["2"])
        next.session.revoke(["3"])
        try scene.stage.wait("the revocation") { try? ask("ZCARD", "coppice.revoked").integer == 1 ? true : nil }
    }

    @Test func aRevocationThatCannotBeStoredEndsNothing() throws {
        let session = try scene.session()
        _ = try ask("SET", "coppice.revoked", "a string")
        session.session.revoke(["1"])
        _ = try session.seat.next("notice") { if case .notice(let text) = $0, text.contains("revocation") { text } else { nil } }
        #expect(session.seat.popFirst { if case .lost(let reason) = $0 { reason } else { nil } } == nil)
    }

    // MARK: keys of another kind

    @Test func aParkedSetOfAnotherKindLosesNothing() throws {
        try scene.send(["1"], queue: "a")
        let first = try scene.session(["a"])
        let message = try #require(try first.takeAll(1).first)
        #expect(try first.commit(message, .park(until: .now)))
        scene.stage.leave(first.seat)
        _ = try ask("SET", "coppice.parked.b", "a string")
        let session = try scene.session(["a", "b"])
        session.session.take(upTo: 2)
        #expect(try session.lost().contains("WRONGTYPE"))
        #expect(try ask("HLEN", "unacked").integer == 1)
        #expect(try ask("ZCARD", "coppice.parked.a").integer == 1)
    }

    @Test func aListOfAnotherKindLosesNothing() throws {
        try scene.send(["1"])
        let first = try scene.session()
        _ = try first.takeAll(1)
        scene.stage.leave(first.seat)
        _ = try ask("SET", "celery", "a string")
        let next = try scene.session(incarnation: first.incarnation)
        #expect(try ask("HLEN", "unacked").integer == 1)
        #expect(try next.close() == "closed")
    }

    @Test func deadMessagesAreBoundedInNumber() throws {
        var limits = DeadLetterLimits()
        limits.records = 3
        let session = try scene.session(deadLetters: limits)
        try scene.send(["1", "2", "3", "4", "5"])
        for message in try session.takeAll(5) { #expect(try session.commit(message, .setAside(reason: "test"))) }
        #expect(try ask("HLEN", "coppice.dead.messages").integer == 3)
        #expect(try fixture.deadLetters().map { $0.body == nil ? nil : $0.taskID } == ["3", "4", "5"])
    }

    @Test func aReplyGoesIntoMailboxesOnly() throws {
        let session = try scene.session()
        // The exchange of the tasks, and the key of their queue.
        session.session.reply(ControlReply(exchange: "celery", routingKey: "celery", ticket: "t", body: Array("{}".utf8)))
        let separator = "\u{06}\u{16}"
        _ = try ask("SADD", "_kombu.binding.reply.celery.pidbox", "key\(separator)\(separator)1.reply.celery.pidbox")
        session.session.reply(ControlReply(exchange: "reply.celery.pidbox", routingKey: "key", ticket: "t", body: Array("{}".utf8)))
        try scene.stage.wait("the reply") { try? ask("LLEN", "1.reply.celery.pidbox").integer == 1 ? true : nil }
        #expect(try ask("EXISTS", "celery").integer == 0)
    }

    @Test func parkedNamesWithoutAMessageEndNoMove() throws {
        let session = try scene.session()
        let message = try #require(try scene.taken(by: session, "1"))
        #expect(try session.commit(message, .park(until: WallTime.now.advanced(by: 100))))
        for start in stride(from: 0, to: 600, by: 100) {
            var command = RedisCommand("ZADD", "coppice.parked.celery")
            for number in start..<start + 100 { command.append(contentsOf: [String(number), "parked-stale-\(number):0"]) }
            _ = try fixture.ask(command)
        }
        let operations = RedisQueueOperations(fixture.url)
        let seat = scene.stage.add(operations) { operations.takeEvents() }
        operations.move(from: "celery", to: "other", upTo: 500)
        #expect(try seat.next("moved") { if case .moved(let count) = $0 { count } else { nil } } == 1)
        #expect(try ask("ZCARD", "coppice.parked.celery").integer == 0)
        #expect(try ask("ZCARD", "coppice.parked.other").integer == 1)
    }
}
