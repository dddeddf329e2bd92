import CoppiceRedis
import CoppiceShared
import CoppiceSystem
import Testing

@testable import CoppiceTransport

/// What a take asks for and brings.
@Suite(.ownThread) struct RedisTakeTests {
    private let fixture: RedisFixture
    private let scene: BrokerScene

    init() throws {
        fixture = try RedisFixture()
        scene = BrokerScene(fixture)
    }

    private func ask(_ words: String...) throws -> RedisValue {
        var command = RedisCommand()
        command.append(contentsOf: words)
        return try fixture.ask(command)
    }

    /// Calls of commands since the server's start, those of scripts included; and how many of them asked for this number.
    private func calls() throws -> Int {
        let lines = try ask("INFO", "commandstats").text?.split(whereSeparator: \.isNewline) ?? []
        return lines.reduce(0) { $0 + (($1.firstMatch(of: #/calls=(\d+)/#)?.1).flatMap { Int($0) } ?? 0) }
    }

    /// Takes up to 100 from lists a, b and from b's parked set, until so many bytes are there: what is taken, and the lists' flags.
    private func take(bytes: Int) throws -> (messages: [String], more: String) {
        let keys = RedisKeys(fixture.url)
        let id = Incarnation().id
        _ = try ask("HSET", keys.nodes, id, "1.1")
        let answer = try ask(
            "EVAL", RedisScripts.text(.take), "7", keys.unacked, keys.unackedIndex, keys.revoked, keys.nodes, keys.parked("b"), "a", "b",
            "100", String(bytes), id, "1", "1", "1", "", "0 3 6 9", "1", RedisTag.ending("b"), "0", RedisTag.ending("a"), "0",
            RedisTag.ending("b"))
        let parts = try #require(answer.array)
        return (stride(from: 4, to: parts.count, by: 3).map { parts[$0].text ?? "" }, parts[1].text ?? "")
    }

    @Test func aTakeEndsAtItsBytes() throws {
        let long = String(repeating: "x", count: 1000)
        for number in 0..<20 { _ = try ask("LPUSH", "a", "\(number)\(long)") }
        for number in 0..<20 { _ = try ask("LPUSH", "b", "\(number)\(long)") }
        #expect(try take(bytes: 3500).messages.count == 4, "of two lists in turn: one more than fits")
        _ = try ask("DEL", "b")
        let alone = try take(bytes: 3500)
        #expect(alone.messages.count == 4 && alone.more == "010")
        #expect(try ask("LLEN", "a").integer == 14)
        _ = try ask("HSET", "unacked", "parked-1:0", "[\(long),\"\",\"b\"]", "parked-2:0", "[\(long),\"\",\"b\"]")
        _ = try ask("ZADD", "coppice.parked.b", "1", "parked-1:0", "2", "parked-2:0")
        let parked = try take(bytes: 500)
        #expect(parked.messages.count == 1 && parked.more == "110")
        #expect(try ask("ZCARD", "coppice.parked.b").integer == 1)
    }

    @Test func aTakeBringsTheMessagesInTheirOrder() throws {
        for number in 0..<10 { _ = try ask("LPUSH", "a", "\(number)") }
        for number in ["x", "y"] { _ = try ask("LPUSH", "b", number) }
        let taken = try take(bytes: 1000)
        #expect(taken.messages == ["0", "x", "1", "y", "2", "3", "4", "5", "6", "7", "8", "9"] && taken.more == "000")
        #expect(try ask("EXISTS", "a", "b").integer == 0)
        #expect(try ask("HLEN", "unacked").integer == 12)
    }

    /// 5,000 lists and sets, of which the most have never been heard of.
    @Test func aThousandQueuesCostNothingWhileTheyAreIdle() throws {
        let queues = (0..<1000).map { QueueDeclaration("q\($0)") }
        let session = try scene.session(queues)
        try scene.send(["1"], queue: "q700")
        #expect(try session.takeAll(1).map(\.queue) == ["q700"])
        // Nobody but the session: the connections of the test are gone.
        let before = try calls()
        try scene.stage.pass(seconds: 3)
        let idle = try Double(calls() - before) / 3
        #expect(idle < 30, "\(idle) commands a second")
        let taking = try calls()
        try scene.send(["2"], queue: "q3", priority: 9)
        #expect(try session.takeAll(1).map(\.queue) == ["q3"])
        #expect(try calls() - taking < 100)
    }

    @Test func whatWasWrittenBeforeAllKeysWereDroppedIsHeardOfAfter() throws {
        let session = try scene.session(["a", "b"])
        _ = try ask("FLUSHALL")
        // The lease has to come back.
        try scene.stage.wait("a lease") { try? ask("HLEN", "coppice.nodes").integer == 1 ? true : nil }
        try scene.send(["1"], queue: "b")
        #expect(try session.takeAll(1).map(\.id) == ["1"])
    }

    @Test func whoMayHearNoBellsFindsEverythingAllTheSame() throws {
        _ = try ask("ACL", "SETUSER", "deaf", "on", ">secret", "~*", "&*", "+@all", "-client|tracking")
        var url = fixture.url
        url.servers[0].user = "deaf"
        url.servers[0].password = "secret"
        let incarnation = Incarnation()
        let queues = (0..<300).map { QueueDeclaration("q\($0)") }
        let session = try SessionSeat(
            scene.stage,
            RedisBrokerSession(url, results: url, resultExpiry: 60, queues: queues, node: "n", incarnation: incarnation, holding: []),
            incarnation: incarnation
        ).stand()
        for queue in ["q0", "q150", "q299"] { try scene.send([queue], queue: queue) }
        for message in try session.takeAll(3) { #expect(try session.commit(message, .park(until: WallTime.now.advanced(by: 2)))) }
        #expect(try Set(session.takeAll(3).map(\.id)) == ["q0", "q150", "q299"])
    }

    @Test func queuesHaveEqualShares() throws {
        for queue in ["a", "b", "c"] { try scene.send((0..<40).map { "\(queue)\($0)" }, queue: queue) }
        let session = try scene.session(["a", "b", "c"])
        var counts: [String: Int] = [:]
        for _ in 0..<12 { for message in try session.take(4) { counts[message.queue, default: 0] += 1 } }
        #expect(counts == ["a": 16, "b": 16, "c": 16])
    }
}
