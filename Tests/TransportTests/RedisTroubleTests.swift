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

    @Test func forgottenScriptsAreGivenAgain() throws {
        try scene.send((0..<200).map { "task-\($0)" })
        let session = try scene.session()
        #expect(try ask("SCRIPT", "FLUSH").error == nil)
        let taken = try session.takeAll(200)
        #expect(taken.map(\.id) == (0..<200).map { "task-\($0)" })
        #expect(try ask("SCRIPT", "FLUSH").error == nil)
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
}
