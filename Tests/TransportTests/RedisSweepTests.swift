import CoppiceRedis
import CoppiceShared
import CoppiceSystem
import CoppiceTransport
import Testing

/// What dead Python workers left in kombu's hash of held messages.
@Suite(.ownThread) struct RedisSweepTests {
    private let fixture: RedisFixture
    private let scene: BrokerScene
    private let url: RedisURL

    init() throws {
        fixture = try RedisFixture(prefix: "px:")
        scene = BrokerScene(fixture)
        var url = fixture.url
        url.visibilityTimeout = 30
        self.url = url
    }

    private func session() throws -> SessionSeat {
        let incarnation = Incarnation()
        let session = RedisBrokerSession(
            url, results: url, resultExpiry: 60, queues: ["celery"], node: "celery@test", incarnation: incarnation, holding: [])
        return try SessionSeat(scene.stage, session, incarnation: incarnation).stand()
    }

    @discardableResult
    private func ask(_ words: String...) throws -> RedisValue {
        var command = RedisCommand()
        command.append(contentsOf: words)
        return try fixture.ask(command)
    }

    /// An entry as kombu writes it.
    private func hold(_ tag: String, _ publication: TaskPublication, age: Double, exchange: String = "", key: String = "celery") throws {
        let message = String(decoding: Envelope.write(publication, deliveryTag: tag), as: UTF8.self)
        try hold(tag, text: "[\(message), \"\(exchange)\", \"\(key)\"]", age: age)
    }

    private func hold(_ tag: String, text: String, age: Double) throws {
        try ask("HSET", "px:unacked", tag, text)
        try ask("ZADD", "px:unacked_index", String(WallTime.now.seconds - age), tag)
    }

    private func recovered(_ session: SessionSeat) throws -> Int {
        try session.seat.next("recovered") { if case .recovered(let count) = $0 { count } else { nil } }
    }

    @Test func whatIsOverdueIsPutBackInFront() throws {
        try scene.send(["waiting"])
        try hold("t1", .named("old"), age: 50)
        try hold("t2", .named("older"), age: 60)
        try hold("t3", .named("young"), age: 10)
        try hold("t4", .named("low", priority: 9), age: 40)
        let session = try session()
        #expect(try recovered(session) == 3)
        let taken = try session.takeAll(4)
        #expect(taken.map(\.id) == ["older", "old", "waiting", "low"])
        #expect(try taken.map { try $0.content.get().redelivered } == [true, true, false, true])
        let headers = try JSONValue(parsing: try taken[0].content.get().headers)
        #expect(headers["redelivered"]?.bool == true)
        #expect(try ask("HKEYS", "px:unacked").array?.compactMap(\.text).contains("t3") == true)
        #expect(try ask("EXISTS", "px:unacked_mutex").integer == 0)
        #expect(try ask("ZSCORE", "px:unacked_index", "t1") == .null)
    }

    @Test func entriesOfOursAreLeftToTheirLease() throws {
        let ours = ["\(Incarnation().id):7:0", "parked-\(Incarnation().id):3"]
        for tag in ours { try hold(tag, .named(tag), age: 5000) }
        try hold("foreign", .named("1"), age: 5000)
        let session = try session()
        #expect(try recovered(session) == 1)
        #expect(try ask("HLEN", "px:unacked").integer == 2)
    }

    @Test func anExchangeLeadsBackToItsQueues() throws {
        let separator = "\u{06}\u{16}"
        try ask("SADD", "px:_kombu.binding.t", ["a.#", #"^a\..*?$"#, "celery"].joined(separator: separator))
        try hold("t1", .named("1"), age: 100, exchange: "t", key: "a.b")
        try hold("t2", .named("2"), age: 100, exchange: "t", key: "b")
        let session = try session()
        #expect(try recovered(session) == 1)
        #expect(try session.takeAll(1).map(\.id) == ["1"])
        let notice = try session.seat.next("notice") { if case .notice(let text) = $0 { text } else { nil } }
        #expect(notice.contains("'t'") && notice.contains("'b'"))
        #expect(try ask("HEXISTS", "px:unacked", "t2").integer == 1)
    }

    @Test func bindingsOfAnotherKindLeadNowhere() throws {
        try ask("SET", "px:_kombu.binding.t", "a string")
        try hold("t1", .named("1"), age: 100, exchange: "t", key: "a")
        try hold("t2", .named("2"), age: 90)
        let session = try session()
        #expect(try recovered(session) == 1)
        #expect(try ask("HEXISTS", "px:unacked", "t1").integer == 1)
    }

    @Test func whatCannotBeReadStays() throws {
        try hold("bad", text: "[{\"body\": \"x\"}, \"\", \"celery\"]", age: 100)
        try hold("worse", text: "\u{1}", age: 100)
        try hold("good", .named("1"), age: 90)
        let session = try session()
        #expect(try recovered(session) == 1)
        #expect(try ask("HLEN", "px:unacked").integer == 2)
        _ = try session.seat.next("notice") { if case .notice(let text) = $0, text.contains("can't be put back") { text } else { nil } }
    }

    @Test func aListOfAnotherKindLosesNothing() throws {
        try ask("SET", "px:celery", "a string")
        try hold("t1", .named("1"), age: 100)
        let session = try session()
        try scene.stage.pass(seconds: 0.5)
        #expect(try ask("HEXISTS", "px:unacked", "t1").integer == 1)
        #expect(session.seat.popFirst { if case .lost(let reason) = $0 { reason } else { nil } } == nil)
    }

    /// Somebody else sweeps: they have the mutex, and we wait for the next turn.
    @Test func theMutexIsRespected() throws {
        try ask("SET", "px:unacked_mutex", "theirs")
        try hold("t1", .named("1"), age: 100)
        let session = try session()
        try scene.stage.pass(seconds: 1)
        #expect(try ask("HEXISTS", "px:unacked", "t1").integer == 1)
        try ask("DEL", "px:unacked_mutex")
        #expect(try recovered(session) == 1)
    }

    /// Several nodes and no mutex between the reading and the moving: each message comes back once.
    @Test func nothingComesBackTwice() throws {
        for index in 0..<200 { try hold("t\(index)", .named("\(index)"), age: 100) }
        let incarnations = (0..<3).map { _ in Incarnation() }
        let sessions = incarnations.map { incarnation in
            SessionSeat(
                scene.stage,
                RedisBrokerSession(
                    url, results: url, resultExpiry: 60, queues: ["other"], node: "celery@test", incarnation: incarnation, holding: []),
                incarnation: incarnation)
        }
        for session in sessions { _ = try session.stand() }
        try scene.stage.wait("all") { try? ask("LLEN", "px:celery").integer == 200 ? true : nil }
        try scene.stage.pass(seconds: 0.5)
        #expect(try ask("LLEN", "px:celery").integer == 200)
        #expect(try ask("HLEN", "px:unacked").integer == 0)
    }
}
