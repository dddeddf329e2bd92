import CoppiceAMQP
import CoppiceShared
import CoppiceSystem
import CoppiceTransport
import Testing

/// RabbitMQ in trouble: with settings that concern all who use it. So it is not the other tests', and these go one by one.
@Suite(.ownThread, .serialized) struct AMQPTroubleTests {
    private static let server = Result {
        try RabbitMQServer(settings: "-rabbit channel_tick_interval 500")
    }

    private func fixture() throws -> RabbitMQFixture { try RabbitMQFixture(Self.server.get()) }

    /// A session without a ledger beside it.
    private func bare(_ fixture: RabbitMQFixture, _ scene: BrokerScene, _ incarnation: Incarnation) throws -> SessionSeat {
        let carrier = AMQPCarrier(
            fixture.url, queues: ["celery"], node: "celery@test", incarnation: incarnation, prefetch: 100, largestMessage: 1 << 20)
        return try SessionSeat(scene.stage, LedgeredSession(bare: carrier), incarnation: incarnation).stand()
    }

    @Test func aBlockedServerStillGivesAndTakesBack() throws {
        let fixture = try fixture()
        let scene = BrokerScene(fixture)
        try scene.send(["1", "2"])
        let session = try scene.session(["celery", "other"])
        let taken = try session.takeAll(2)
        try fixture.server.control("set_vm_memory_high_watermark", "0")
        session.session.commit([Commit(taken[0].tag, queue: "celery", .conclude, publications: [.named("next", queue: "other")])], as: 1)
        _ = try session.seat.next("notice") { if case .notice(let text) = $0, text.contains("takes no publications") { true } else { nil } }
        // Longer than any answer may take, and than the heartbeat's silence.
        try scene.stage.pass(seconds: 10)
        session.session.commit([Commit(taken[1].tag, queue: "celery", .conclude)], as: 1)
        try scene.stage.pass(seconds: 0.5)
        #expect(try fixture.count("celery") == 0)
        #expect(session.seat.popFirst { if case .lost(let reason) = $0 { reason } else { nil } } == nil)
        try fixture.server.control("set_vm_memory_high_watermark", "0.4")
        for _ in 0..<2 {
            let verdicts = try session.seat.next("committed") { if case .committed(_, let verdicts) = $0 { verdicts } else { nil } }
            #expect(verdicts == [.done])
        }
        #expect(try session.takeAll(1).map(\.id) == ["next"])
    }

    @Test func aMessageThatIsHeldForTooLongEndsTheSessionWithThatReason() throws {
        let fixture = try fixture()
        let scene = BrokerScene(fixture)
        try scene.send(["1"])
        try fixture.server.control("eval", "application:set_env(rabbit, consumer_timeout, 2000).")
        let incarnation = Incarnation()
        let session = try bare(fixture, scene, incarnation)
        let held = try #require(try session.takeAll(1).first)
        #expect(try session.commit(held, .keep))
        #expect(try session.lost().contains("consumer_timeout"))
        try fixture.server.control("eval", "application:set_env(rabbit, consumer_timeout, 1800000).")
        let next = try bare(fixture, scene, incarnation)
        let again = try #require(try next.takeAll(1).first)
        #expect(again.id == "1")
        #expect(try next.commit(held, .conclude) == false)
        #expect(try next.commit(again, .conclude))
    }
}
