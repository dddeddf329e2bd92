import CoppiceAMQP
import CoppiceShared
import CoppiceSystem
import CoppiceTransport
import Testing

/// Parking with RabbitMQ: Celery's delay queues.
@Suite(.ownThread) struct AMQPDelayTests {
    /// Without a ledger beside it.
    private func bare(_ fixture: RabbitMQFixture, _ scene: BrokerScene, _ queues: [QueueDeclaration] = ["celery"]) throws -> SessionSeat {
        let carrier = AMQPCarrier(
            fixture.url, queues: queues, node: "celery@test", incarnation: Incarnation(), prefetch: 100, largestMessage: 1 << 20)
        return try SessionSeat(scene.stage, LedgeredSession(bare: carrier), incarnation: Incarnation()).stand()
    }

    /// The delay queues are made at the first need, which takes RabbitMQ a while: parks one message for longer than the test lasts.
    private func makeDelayQueues(_ scene: BrokerScene, _ session: SessionSeat, queue: String = "celery") throws {
        try scene.send(["warm-up"], queue: queue)
        _ = try park(session, try #require(try session.takeAll(1).first), seconds: 600)
    }

    private func park(_ session: SessionSeat, _ message: ReceivedMessage, seconds: Double) throws -> WallTime {
        let due = WallTime.now.advanced(by: seconds)
        #expect(try session.commit(message, .park(until: due)))
        return due
    }

    @Test func whatIsParkedComesBackInTimeAgainAndAgain() throws {
        let fixture = try RabbitMQFixture()
        let scene = BrokerScene(fixture)
        let session = try bare(fixture, scene)
        try makeDelayQueues(scene, session)
        try scene.send(["1"])
        var message = try #require(try session.takeAll(1).first)
        for _ in 0..<3 {
            let due = try park(session, message, seconds: 3)
            message = try #require(try session.takeAll(1).first)
            #expect(message.id == "1")
            #expect(WallTime.now < due, "late")
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
        let session = try bare(fixture, scene, [queue])
        try makeDelayQueues(scene, session)
        try scene.send(["1"])
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
            .queueDeclare("celery_delayed_1", arguments: ["x-message-ttl": 2000, "x-dead-letter-exchange": "celery_delayed_0"]),
        ])
        let session = try bare(fixture, scene)
        try makeDelayQueues(scene, session)
        try scene.send(["1"])
        let text = try session.seat.next("notice") { if case .notice(let text) = $0 { text } else { nil } }
        #expect(text.contains("as they stand") && text.contains("406"))
        // Three seconds: through both. RabbitMQ would take it for a message that goes round in circles the second time, and drop it.
        var message = try #require(try session.takeAll(1).first)
        for _ in 0..<2 {
            let due = try park(session, message, seconds: 4.5)
            message = try #require(try session.takeAll(1).first)
            #expect(message.id == "1" && WallTime.now < due)
        }
    }

    private func heldNotice(_ session: SessionSeat) throws -> String {
        try session.seat.next("notice") { if case .notice(let text) = $0, text.contains("held here") { text } else { nil } }
    }

    @Test func whatADeletedDelayQueueWouldHaveTakenIsHeldAndTheQueueMadeAnew() throws {
        let fixture = try RabbitMQFixture()
        let scene = BrokerScene(fixture)
        let session = try bare(fixture, scene)
        try makeDelayQueues(scene, session)
        try fixture.ask([.queueDelete("celery_delayed_1")])
        try fixture.ask([.queueDelete("celery_delayed_9")])
        try scene.send(["long", "short"])
        let taken = try session.takeAll(2)
        // More than 512 seconds, and three.
        session.session.commit([Commit(taken[0].tag, queue: "celery", .park(until: WallTime.now.advanced(by: 600)))], as: 7)
        let due = try park(session, taken[1], seconds: 4.5)
        #expect(try heldNotice(session).contains("312"))
        let message = try #require(try session.takeAll(1).first)
        #expect(message.id == "short" && WallTime.now < due)
        _ = try session.seat.next("committed") { if case .committed(7, let verdicts) = $0 { verdicts } else { nil } }
        try fixture.ask([.queueExists("celery_delayed_1"), .queueExists("celery_delayed_9")])
    }

    @Test func whereNoDelayQueueCanBeMadeWhatIsParkedIsHeld() throws {
        let fixture = try RabbitMQFixture()
        func permit(_ names: String) throws {
            try fixture.server.control("set_permissions", "-p", fixture.url.servers[0].virtualHost, "guest", names, ".*", ".*")
        }
        try permit("^(?!celery_delayed).*")
        let scene = BrokerScene(fixture)
        let session = try bare(fixture, scene)
        try scene.send(["1"])
        let message = try #require(try session.takeAll(1).first)
        session.session.commit([Commit(message.tag, queue: "celery", .park(until: WallTime.now.advanced(by: 600)))], as: 7)
        #expect(try heldNotice(session).contains("404"))
        try permit(".*")
        _ = try session.seat.next("committed") { if case .committed(7, let verdicts) = $0 { verdicts } else { nil } }
        try fixture.ask([.exchangeDeclare("celery_delayed_27", type: "topic")])
    }

    @Test func aQueueWhoseNameEndsLikeAnothersGetsItsOwn() throws {
        let fixture = try RabbitMQFixture()
        let scene = BrokerScene(fixture)
        let session = try bare(fixture, scene, ["a.b", "b"])
        try makeDelayQueues(scene, session, queue: "a.b")
        try scene.send(["1"], queue: "a.b")
        let message = try #require(try session.takeAll(1).first)
        #expect(message.queue == "a.b")
        _ = try park(session, message, seconds: 2.5)
        #expect(try session.takeAll(1).map(\.queue) == ["a.b"])
        try scene.stage.pass(seconds: 0.5)
        #expect(try session.take(10).isEmpty)
    }
}
