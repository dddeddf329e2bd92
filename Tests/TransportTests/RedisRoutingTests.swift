import CoppiceRedis
import CoppiceShared
import CoppiceSystem
import CoppiceTransport
import Testing

/// Exchanges as kombu emulates them, under a key prefix.
@Suite(.ownThread) struct RedisRoutingTests {
    private let fixture: RedisFixture
    private let scene: BrokerScene

    init() throws {
        fixture = try RedisFixture(prefix: "px:")
        scene = BrokerScene(fixture)
    }

    private static func queue(
        _ name: String, _ exchange: String, _ type: QueueDeclaration.ExchangeType, _ key: String
    ) -> QueueDeclaration {
        var queue = QueueDeclaration(name)
        queue.exchange = exchange
        queue.exchangeType = type
        queue.routingKey = key
        return queue
    }

    private static func message(_ id: String, _ exchange: String, _ key: String, _ type: QueueDeclaration.ExchangeType? = nil)
        -> TaskPublication
    {
        var publication = TaskPublication.named(id, queue: key)
        publication.exchange = exchange
        publication.exchangeType = type
        return publication
    }

    private func session(_ queues: [QueueDeclaration], incarnation: Incarnation = Incarnation()) throws -> SessionSeat {
        let session = RedisBrokerSession(
            fixture.url, results: fixture.url, resultExpiry: 60, queues: queues, node: "celery@test", incarnation: incarnation, holding: [])
        return try SessionSeat(scene.stage, session, incarnation: incarnation).stand()
    }

    private func members(_ exchange: String) throws -> [String] {
        let separator = "\u{06}\u{16}"
        return try (fixture.ask(RedisCommand("SMEMBERS", "px:_kombu.binding.\(exchange)")).array ?? [])
            .compactMap { $0.text?.replacing(separator, with: "|") }.sorted()
    }

    @Test func topicMessagesComeIntoEveryQueueThatMatches() throws {
        let session = try session([Self.queue("one", "t", .topic, "a.#"), Self.queue("two", "t", .topic, "a.*.c"), "celery"])
        #expect(try members("t") == [#"a.#|^a\..*?$|one"#, #"a.*.c|^a\.[^\.]+\.c$|two"#])
        #expect(try members("celery") == ["celery||celery"])
        try scene.send([Self.message("1", "t", "a.b"), Self.message("2", "t", "a.b.c"), .named("3")])
        let taken = try session.takeAll(4)
        #expect(taken.map { "\($0.id) \($0.queue)" }.sorted() == ["1 one", "2 one", "2 two", "3 celery"])
    }

    @Test func directMessagesGoByTheirKey() throws {
        let session = try session([
            Self.queue("one", "d", .direct, "x"), Self.queue("two", "d", .direct, "x"), Self.queue("three", "d", .direct, "y"),
        ])
        try scene.send([Self.message("1", "d", "x"), Self.message("2", "d", "y")])
        #expect(try session.takeAll(3).map { "\($0.id) \($0.queue)" }.sorted() == ["1 one", "1 two", "2 three"])
    }

    @Test func aMessageThatNobodyWouldGetIsRefused() throws {
        _ = try session([Self.queue("one", "t", .topic, "a.#")])
        let sender = fixture.makeSender()
        let seat = scene.stage.add(sender) { sender.takeEvents() }
        try seat.next("standing") { if case .standing = $0 { true } else { nil } }
        sender.publish(.named("1"))
        sender.publish(Self.message("2", "t", "b"))
        sender.publish(.named("3"))
        let order = try (0..<3).map { _ in
            try seat.next("an answer") { event -> String? in
                switch event {
                case .sent: "sent"
                case .refused(let reason): reason.contains("'t'") && reason.contains("'b'") ? "refused" : reason
                default: nil
                }
            }
        }
        #expect(order == ["sent", "refused", "sent"])
    }

    @Test func aFanoutReachesEveryNode() throws {
        let queue = Self.queue("bc", "bc", .fanout, "celery")
        let first = try session([queue, "celery"])
        let second = try session([queue])
        #expect(try first.take(5).isEmpty && second.take(5).isEmpty)
        try scene.send([Self.message("1", "bc", "celery", .fanout), Self.message("2", "bc", "celery", .fanout)])
        let copies = [try first.takeAll(2), try second.takeAll(2)]
        for (node, taken) in zip([first, second], copies) {
            #expect(taken.map { "\($0.id) \($0.queue)" } == ["1 bc", "2 bc"])
            // A retry is for a node of this queue, not for all of them.
            #expect(try node.commit(taken[0], .conclude, publications: [.named("again", queue: "bc")]))
            #expect(try node.commit(taken[1], .conclude))
        }
        // What a sender who does not know the exchange has put into the list of the queue's name is run, too, by one of them.
        let again = try first.takeAll(2).map(\.id)
        #expect(again == ["again", "again"])
        #expect(try second.take(5).isEmpty)
        #expect(try first.close() == "closed")
        let left = try fixture.ask(RedisCommand("KEYS", "px:coppice.fanout.*"))
        #expect(left.array == [])
    }

    @Test func aBroadcastThatWaitsForItsNodeExpires() throws {
        let session = try session([Self.queue("bc", "bc", .fanout, "#")])
        try scene.send([Self.message("1", "bc", "any.key", .fanout)])
        try session.rang()
        let key = "px:coppice.fanout.\(session.incarnation.id).bc"
        #expect(try fixture.ask(RedisCommand("TTL", key)).integer ?? 0 > 3000)
        #expect(try session.takeAll(1).map(\.id) == ["1"])
    }
}
