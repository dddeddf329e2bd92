import CoppiceAMQP
import CoppiceShared
import CoppiceSystem
import CoppiceTransport
import Testing

/// Parking with RabbitMQ: Celery's delay queues.
@Suite(.ownThread) struct AMQPDelayTests {
    private func park(_ session: SessionSeat, _ message: ReceivedMessage, seconds: Double) throws -> WallTime {
        let due = WallTime.now.advanced(by: seconds)
        #expect(try session.commit(message, .park(until: due)))
        return due
    }

    @Test func whatIsParkedComesBackInTimeAgainAndAgain() throws {
        let scene = BrokerScene(try RabbitMQFixture())
        try scene.send(["1"])
        let session = try scene.session()
        var message = try #require(try session.takeAll(1).first)
        // RabbitMQ drops what it takes for going round in circles.
        for _ in 0..<3 {
            let due = try park(session, message, seconds: 3)
            message = try #require(try session.takeAll(1).first)
            #expect(message.id == "1")
            #expect(WallTime.now < due)
            #expect(WallTime.now > due.advanced(by: -2.05))
            let content = try message.content.get()
            #expect(content.routingKey == "celery" && content.exchange == "")
        }
        #expect(try session.commit(message, .conclude))
    }

    @Test func quorumQueuesWork() throws {
        let fixture = try RabbitMQFixture()
        let scene = BrokerScene(fixture)
        var queue = QueueDeclaration("celery")
        queue.kind = .quorum
        try fixture.ask([.queueDeclare("celery", arguments: ["x-queue-type": "quorum"])])
        try scene.send(["1"])
        let session = try scene.session([queue])
        var message = try #require(try session.takeAll(1).first)
        #expect(try JSONValue(parsing: message.content.get().headers)["x-delivery-count"] == nil)
        #expect(try session.commit(message, .putBack(front: true)))
        message = try #require(try session.takeAll(1).first)
        #expect(try JSONValue(parsing: message.content.get().headers)["x-delivery-count"] == 1)
        let due = try park(session, message, seconds: 3)
        message = try #require(try session.takeAll(1).first)
        #expect(WallTime.now < due)
        #expect(try JSONValue(parsing: message.content.get().headers)["x-delivery-count"] == nil, "a new message")
        #expect(try session.commit(message, .conclude))
        #expect(session.seat.popFirst { if case .notice(let text) = $0 { text } else { nil } } == nil)
    }

    @Test func delayQueuesAreUsedAsTheyStand() throws {
        let fixture = try RabbitMQFixture()
        let scene = BrokerScene(fixture)
        try fixture.ask([
            .exchangeDeclare("celery_delayed_delivery", type: "topic"), .exchangeDeclare("celery_delayed_0", type: "topic"),
            .queueDeclare(
                "celery_delayed_0",
                arguments: ["x-message-ttl": 1000, "x-dead-letter-exchange": "celery_delayed_delivery", "x-overflow": "reject-publish"]),
        ])
        try scene.send(["1"])
        let session = try scene.session()
        let message = try #require(try session.takeAll(1).first)
        let due = try park(session, message, seconds: 2.5)
        let text = try session.seat.next("notice") { if case .notice(let text) = $0 { text } else { nil } }
        #expect(text.contains("as they stand") && text.contains("406"))
        #expect(try session.takeAll(1).map(\.id) == ["1"])
        #expect(WallTime.now < due)
    }

    @Test func aQueueWhoseNameEndsLikeAnothersGetsItsOwn() throws {
        let scene = BrokerScene(try RabbitMQFixture())
        try scene.send(["1"], queue: "a.b")
        let session = try scene.session(["a.b", "b"])
        let message = try #require(try session.takeAll(1).first)
        #expect(message.queue == "a.b")
        _ = try park(session, message, seconds: 2.5)
        #expect(try session.takeAll(1).map(\.queue) == ["a.b"])
        try scene.stage.pass(seconds: 0.5)
        #expect(try session.take(10).isEmpty)
    }
}
