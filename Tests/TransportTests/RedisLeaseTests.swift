import CoppiceRedis
import CoppiceShared
import CoppiceSystem
import CoppiceTransport
import Testing

/// What stands under a lease of Redis, and what does not: orders that were delayed, recoveries that were broken off, lines that are slow.
@Suite(.ownThread) struct RedisLeaseTests {
    private let fixture: RedisFixture
    private let scene: BrokerScene
    private let proxy: TCPProxy
    /// The same server over the proxy.
    private let slow: RedisURL

    init() throws {
        let port = try FreePort.next()
        fixture = try RedisFixture(options: ["--port", "\(port)"])
        scene = BrokerScene(fixture)
        let proxy = try TCPProxy(to: port)
        self.proxy = proxy
        slow = RedisURL(endpoint: .tcp(host: "127.0.0.1", port: proxy.port))
        _ = scene.stage.add(proxy) { [Never]() }
    }

    @discardableResult
    private func ask(_ words: String...) throws -> RedisValue {
        var command = RedisCommand()
        command.append(contentsOf: words)
        return try fixture.ask(command)
    }

    private func seat(_ url: RedisURL, incarnation: Incarnation = Incarnation()) -> SessionSeat {
        let session = RedisBrokerSession(
            url, results: url, resultExpiry: 60, queues: ["celery"], node: "celery@test", incarnation: incarnation, holding: [])
        return SessionSeat(scene.stage, session, incarnation: incarnation)
    }

    private static func contains(_ text: String) -> ([UInt8]) -> Bool {
        { String(decoding: $0, as: UTF8.self).contains(text) }
    }

    private func orphans(_ session: SessionSeat) throws -> [String] {
        try session.seat.next("orphaned") { if case .orphaned(let messages) = $0 { messages.map(\.id) } else { nil } }
    }

    // MARK: delayed orders

    @Test func aTakeWithoutALeaseTakesNothing() throws {
        let session = try scene.session()
        let lease = try ask("HGET", "coppice.nodes", session.incarnation.id)
        try scene.stage.wait("a renewal") { try? ask("HGET", "coppice.nodes", session.incarnation.id) != lease ? true : nil }
        try scene.send(["1"])
        try session.rang()
        try ask("DEL", "coppice.nodes")
        #expect(try session.take(1).isEmpty)
        #expect(try ask("LLEN", "celery").integer == 1)
        #expect(try session.takeAll(1).map(\.id) == ["1"], "with the next renewal")
    }

    @Test func aTakeOfAnEarlierSessionTakesNothing() throws {
        let first = try seat(slow).stand()
        proxy.holds = Self.contains("coppice.parked.celery")
        first.session.take(upTo: 1)
        first.session.flush()
        try scene.stage.wait("the take") { proxy.isHolding ? true : nil }
        scene.stage.leave(first.seat)
        let second = try seat(fixture.url, incarnation: first.incarnation).stand()
        try scene.send(["1"])
        let before = proxy.forwarded
        try proxy.release()
        try scene.stage.wait("its answer") { proxy.forwarded > before ? true : nil }
        #expect(try ask("HLEN", "unacked").integer == 0)
        #expect(try second.takeAll(1).map(\.id) == ["1"])
    }

    // MARK: recoveries

    @Test func whoClosesInTheMidstOfARecoveryTakesNothingAlong() throws {
        let dying = try scene.session()
        let message = try #require(try scene.taken(by: dying, "1"))
        #expect(try dying.commit(message, .startEarly))
        let heir = try seat(slow).stand()
        scene.stage.leave(dying.seat)
        var hasBegun = false
        proxy.bend = {
            // The tag of its start record.
            if Self.contains(dying.incarnation.id + ":")($0) { hasBegun = true }
            return $0
        }
        try scene.stage.wait("the recovery") { hasBegun ? true : nil }
        #expect(try heir.close() == "closed")
        #expect(try orphans(try scene.session()) == ["1"])
    }

    @Test func aStartRecordUnderNoLeaseIsFound() throws {
        let dying = try scene.session()
        let message = try #require(try scene.taken(by: dying, "1"))
        #expect(try dying.commit(message, .startEarly))
        scene.stage.leave(dying.seat)
        try ask("DEL", "coppice.nodes")
        let heir = try scene.session()
        #expect(try orphans(heir) == ["1"])
    }

    @Test func aMessageUnderNoLeaseIsPutBackWhenItIsOverdue() throws {
        let dying = try scene.session()
        _ = try scene.taken(by: dying, "1")
        scene.stage.leave(dying.seat)
        try ask("DEL", "coppice.nodes")
        var url = fixture.url
        url.visibilityTimeout = 1
        try scene.stage.pass(seconds: 1.1)
        let heir = try seat(url).stand()
        #expect(try heir.takeAll(1).map(\.id) == ["1"])
    }

    @Test func aFieldThatIsNoLeaseIsNobodys() throws {
        let session = try scene.session()
        let message = try #require(try scene.taken(by: session, "1"))
        try ask("HSET", "coppice.nodes", "*", "1")
        try scene.stage.pass(seconds: 6.5)
        #expect(session.seat.popFirst { if case .gone(let tags) = $0 { tags } else { nil } } == nil)
        #expect(try session.commit(message, .conclude))
    }

    // MARK: who watches

    /// A cluster of many would else tell each node of each other one, every second.
    @Test func aFewNodesWatchForAll() throws {
        let nodes = try (0..<6).map { _ in try scene.session() }
        _ = try fixture.ask(RedisCommand("CONFIG", "RESETSTAT"))
        try scene.stage.pass(seconds: 2.2)
        let stats = try #require(try fixture.ask(RedisCommand("INFO", "commandstats")).text)
        let calls = stats.split(whereSeparator: \.isNewline).first { $0.hasPrefix("cmdstat_hgetall:calls=") }?
            .split(separator: "=")[1].prefix { $0.isNumber }
        #expect((1...9).contains(Int(calls ?? "") ?? 0), "three nodes, at most three times each")
        #expect(try ask("ZCARD", "coppice.watchers").integer == 3)
        // A watcher that closes makes room at once, and not when its place has run out.
        for node in nodes where try ask("ZSCORE", "coppice.watchers", node.incarnation.id) != .null {
            _ = try node.close()
            #expect(try ask("ZSCORE", "coppice.watchers", node.incarnation.id) == .null)
        }
        try scene.stage.wait("other watchers") { try? ask("ZCARD", "coppice.watchers").integer == 3 ? true : nil }
    }

    @Test func whatTheWatchersHeldIsFoundWhenAllOfThemDieAtOnce() throws {
        let watchers = try (0..<3).map { _ in try scene.session() }
        try scene.send(["1", "2", "3"])
        for watcher in watchers { #expect(try watcher.take(1).count == 1) }
        let heir = try scene.session()
        for watcher in watchers { scene.stage.leave(watcher.seat) }
        let start = MonotonicTime.now
        #expect(Set(try heir.takeAll(3).map(\.id)) == ["1", "2", "3"])
        #expect(MonotonicTime.now.seconds(since: start) < 10)
    }

    // MARK: what makes no sense

    /// What a server, or something between, answers in place of what was asked for.
    private static let nonsense = "*1\r\n*0\r\n"

    @Test(arguments: [
        ("*3\r\n*", "the lease's renewal"), ("*2\r\n$1\r\n0\r\n*", "ZSCAN"), (":1\r\n", "restore"), ("*2\r\n$3", "inherit"),
    ])
    func anAnswerThatMakesNoSenseEndsTheSession(_ answer: String, _ what: String) throws {
        let first = try scene.session()
        let early = try #require(try scene.taken(by: first, "1"))
        #expect(try first.commit(early, .startEarly))
        _ = try scene.taken(by: first, "2")
        scene.stage.leave(first.seat)
        // Of the connection on which the lease is: no other says these beginnings.
        proxy.bend = { $0.starts(with: answer.utf8) ? Array(Self.nonsense.utf8) : $0 }
        let second = seat(slow, incarnation: first.incarnation)
        let reason = try second.lost()
        #expect(reason.hasPrefix("an answer to ") && reason.contains(what) && reason.hasSuffix("that makes no sense"), "\(reason)")
    }

    @Test(arguments: [#"[{"headers": {"id": "7", "task": "t"}},"","celery"]"#, "garbage", "[", ""])
    func aStartRecordThatCantBeReadIsInherited(_ entry: String) throws {
        try ask("HSET", "coppice.started", Incarnation.randomID() + ":1:0", entry)
        let heir = try scene.session()
        let message = try #require(
            try heir.seat.next("orphaned") { if case .orphaned(let messages) = $0 { messages.first } else { nil } })
        #expect(message.id.hasPrefix("defect: "))
        #expect(message.taskID == (entry.contains("7") ? "7" : nil))
        #expect(message.queue == (entry.contains("7") ? "celery" : ""))
        #expect(try heir.commit(message, .setAside(reason: "test")))
        #expect(try ask("HLEN", "coppice.started").integer == 0)
        #expect(
            try fixture.deadLetters().map(\.body) == [Array((entry.contains("7") ? String(entry.dropFirst().dropLast(13)) : entry).utf8)])
    }

    // MARK: slow lines

    @Test func aLongResultHoldsUpNoLease() throws {
        let session = try seat(slow).stand()
        let message = try #require(try scene.taken(by: session, "1"))
        proxy.holds = Self.contains("big-result")
        let result = "\"" + String(repeating: "x", count: 1 << 20) + "\""
        let commit = Commit(message.tag, queue: "celery", .conclude, writes: [.named("big-result", .success, result)])
        session.session.commit([commit], as: 1)
        session.session.flush()
        try scene.stage.wait("the result") { proxy.isHolding ? true : nil }
        try scene.stage.pass(seconds: 3)
        let proven = try #require(session.session.leaseProven)
        #expect(MonotonicTime.now.seconds(since: proven) < 2)
        #expect(session.seat.popFirst { if case .gone(let tags) = $0 { tags } else { nil } } == nil)
        try proxy.release()
        let verdicts = try session.seat.next("committed") { if case .committed(_, let verdicts) = $0 { verdicts } else { nil } }
        #expect(verdicts == [.done])
    }

    @Test func theLeaseIsRenewedWhileASessionGetsReady() throws {
        proxy.holds = Self.contains("TRACKING")
        let slow = seat(slow)
        try scene.stage.wait("the bell") { proxy.isHolding ? true : nil }
        try scene.stage.wait("renewals") { () -> Bool? in
            let lease = try? ask("HGET", "coppice.nodes", slow.incarnation.id).text
            return (lease?.split(separator: ".").last).flatMap { Int($0) } ?? 0 >= 3 ? true : nil
        }
        #expect(slow.seat.popFirst { if case .standing = $0 { true } else { nil } } == nil)
        try proxy.release()
        _ = try slow.stand()
    }
}
