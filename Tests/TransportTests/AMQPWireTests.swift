import CoppiceAMQP
import CoppiceShared
import CoppiceSystem
import CoppiceTransport
import Testing

/// The way to RabbitMQ in trouble, or one that says what it should not: a proxy stands between.
@Suite(.ownThread) struct AMQPWireTests {
    /// A session through a proxy.
    private func session(_ fixture: RabbitMQFixture, _ proxy: TCPProxy, _ scene: BrokerScene, _ queue: QueueDeclaration = "celery") throws
        -> SessionSeat
    {
        let carrier = AMQPCarrier(
            fixture.url(through: proxy), queues: [queue], node: "celery@test", incarnation: Incarnation(), prefetch: 100,
            largestMessage: 1 << 20)
        return SessionSeat(scene.stage, LedgeredSession(bare: carrier), incarnation: Incarnation())
    }

    @Test func silenceIsFoundWithinTenSeconds() throws {
        let fixture = try RabbitMQFixture(ledgerInFile: true)
        let scene = BrokerScene(fixture)
        let proxy = try TCPProxy(to: fixture.server.port)
        _ = scene.stage.add(proxy) { [Int]() }
        let session = try session(fixture, proxy, scene).stand()
        proxy.isFrozen = true
        let start = MonotonicTime.now
        #expect(try session.lost().contains("no answer") == true)
        #expect(MonotonicTime.now.seconds(since: start) < 7)
    }

    /// Frozen after so many bytes of the server: in the greeting, while declaring, just before it stands.
    @Test(arguments: [0, 1, 500, 600, 800, 1200]) func silenceIsFoundAtEveryStep(bytes: Int) throws {
        let fixture = try RabbitMQFixture(ledgerInFile: true)
        let scene = BrokerScene(fixture)
        let proxy = try TCPProxy(to: fixture.server.port)
        _ = scene.stage.add(proxy) { [Int]() }
        proxy.isFrozen = bytes == 0
        proxy.bend = { [unowned proxy] piece in
            if proxy.forwarded >= bytes { proxy.isFrozen = true }
            return piece
        }
        let session = try session(fixture, proxy, scene)
        let start = MonotonicTime.now
        _ = try session.lost()
        #expect(MonotonicTime.now.seconds(since: start) < 10)
        #expect(scene.stage.longestTurn < 0.2)
    }

    /// The greeting says another version than the server's.
    @Test(arguments: [UInt8(ascii: "3"), UInt8(ascii: "4")]) func ofTheLimitOfANewServersQuorumQueuesTheOperatorIsTold(version: UInt8)
        throws
    {
        let fixture = try RabbitMQFixture(ledgerInFile: true)
        let scene = BrokerScene(fixture)
        let proxy = try TCPProxy(to: fixture.server.port)
        _ = scene.stage.add(proxy) { [Int]() }
        let mark = Array("versionS".utf8) + [0, 0, 0]
        proxy.bend = { piece in
            var piece = piece
            // Behind the length's last byte.
            if let range = piece.firstRange(of: mark) { piece[range.upperBound + 1] = version }
            return piece
        }
        var queue = QueueDeclaration("celery")
        queue.kind = .quorum
        let session = try session(fixture, proxy, scene, queue).stand()
        let notice = session.seat.popFirst { if case .notice(let text) = $0, text.contains("delivery-limit") { text } else { nil } }
        #expect((notice != nil) == (version == UInt8(ascii: "4")))
    }

    /// Of a producer that has agreed on larger frames than we: RabbitMQ never cuts a header. What can be read is; of the rest there is a
    /// reason, and the next message comes.
    @Test(arguments: [900_000, 3_000_000]) func aHeaderMayBeLargerThanWasAgreedOn(size: Int) throws {
        let fixture = try RabbitMQFixture(ledgerInFile: true)
        let scene = BrokerScene(fixture)
        let proxy = try TCPProxy(to: fixture.server.port)
        _ = scene.stage.add(proxy) { [Int]() }
        let session = try session(fixture, proxy, scene).stand()
        proxy.bend = { AMQPWireTests.enlarge($0, by: size) }
        try scene.send(["1"])
        let first = try #require(try session.takeAll(1).first)
        if size < 1 << 20 {
            #expect(first.id == "1")
        } else {
            #expect(first.id.hasPrefix("defect: headers of 3000") && first.id.contains("at most 1048576 are read"))
        }
        proxy.bend = { $0 }
        try scene.send(["2"])
        #expect(try session.takeAll(1).map(\.id) == ["2"])
        #expect(try session.commit(first, .setAside(reason: "test")))
    }

    /// Puts one more header of so many bytes into the message that is in this piece.
    private static func enlarge(_ piece: [UInt8], by size: Int) -> [UInt8] {
        let number = { (at: Int) in piece[at..<at + 4].reduce(0) { $0 << 8 | Int($1) } }
        let bytes = { (number: Int) in [24, 16, 8, 0].map { UInt8(truncatingIfNeeded: number >> $0) } }
        // A header frame of channel 1: its size, class 60, weight, the body's size, flags; then content type, encoding and the table.
        let start: [UInt8] = [0, 60, 0, 0, 0, 0, 0, 0]
        guard let found = piece.firstRange(of: start)?.lowerBound, found >= 7, piece[found - 7] == 2 else { return piece }
        var table = found + 14
        for _ in 0..<2 { table += 1 + Int(piece[table]) }
        let entry = [1, UInt8(ascii: "x"), UInt8(ascii: "S")] + bytes(size) + [UInt8](repeating: 0x78, count: size)
        var bent = piece
        bent.insert(contentsOf: entry, at: table + 4)
        bent.replaceSubrange(table..<table + 4, with: bytes(number(table) + entry.count))
        bent.replaceSubrange(found - 4..<found, with: bytes(number(found - 4) + entry.count))
        return bent
    }

    @Test func aFarewellThatNothingAskedForIsNoOrderlyEnd() throws {
        let fixture = try RabbitMQFixture(ledgerInFile: true)
        let scene = BrokerScene(fixture)
        let proxy = try TCPProxy(to: fixture.server.port)
        _ = scene.stage.add(proxy) { [Int]() }
        let session = try session(fixture, proxy, scene).stand()
        proxy.bend = { $0 + [1, 0, 0, 0, 0, 0, 4, 0, 10, 0, 51, 0xCE] }
        #expect(try session.lost().contains("nothing asked for"))
    }

    @Test func aServerThatTalksNonsenseEndsTheSessionAndNothingElse() throws {
        let fixture = try RabbitMQFixture(ledgerInFile: true)
        var random = SystemRandomNumberGenerator()
        var lost = 0
        for _ in 0..<40 {
            let scene = BrokerScene(fixture)
            try scene.send(["x"])
            let proxy = try TCPProxy(to: fixture.server.port)
            _ = scene.stage.add(proxy) { [Int]() }
            let first = Int.random(in: 0..<1500, using: &random)
            let value = UInt8.random(in: 1...255, using: &random)
            var seen = 0
            proxy.bend = { piece in
                var piece = piece
                if (seen..<seen + piece.count).contains(first) { piece[first - seen] ^= value }
                seen += piece.count
                return piece
            }
            let session = try session(fixture, proxy, scene)
            session.session.take(upTo: 1)
            let end = try scene.stage.wait("an end", seconds: 10) {
                session.seat.popFirst { event -> Bool? in
                    switch event {
                    case .lost: true
                    case .standing: false
                    default: nil
                    }
                }
            }
            if end { lost += 1 }
        }
        #expect(lost > 0)
    }
}
