import CoppiceResults
import CoppiceShared
import CoppiceSystem
import CoppiceTransport

/// A broker with everybody who talks to it in one test.
final class BrokerScene {
    let fixture: any BrokerFixture
    let stage = Stage()

    init(_ broker: Broker) throws { fixture = try broker.fixture() }
    init(_ fixture: any BrokerFixture) { self.fixture = fixture }

    func session(
        _ queues: [QueueDeclaration] = ["celery"], node: String = "celery@test", incarnation: Incarnation = Incarnation(),
        holding: [DeliveryTag] = [], joinsResults: Bool = true, deadLetters: DeadLetterLimits = DeadLetterLimits()
    ) throws -> SessionSeat {
        let session = fixture.makeSession(
            queues, node: node, incarnation: incarnation, holding: holding, joinsResults: joinsResults, deadLetters: deadLetters)
        return try SessionSeat(stage, session, incarnation: incarnation).stand()
    }

    /// Sends and waits until it is with the broker.
    func send(_ publications: [TaskPublication]) throws {
        let sender = fixture.makeSender()
        let seat = stage.add(sender) { sender.takeEvents() }
        try seat.next("sender standing") { if case .standing = $0 { true } else { nil } }
        for publication in publications { sender.publish(publication) }
        for _ in publications { try seat.next("sent") { if case .sent = $0 { true } else { nil } } }
        stage.leave(seat)
    }

    func send(_ ids: [String], queue: String = "celery", priority: Int = 0) throws {
        try send(ids.map { .named($0, queue: queue, priority: priority) })
    }

    func broadcast(_ request: String) throws { try order(fixture.makeSender()) { $0.broadcast(Array(request.utf8)) } }

    func revoke(_ ids: [String]) throws { try order(fixture.makeRevoker()) { $0.revoke(ids) } }

    /// The one message of a queue after it has been sent.
    func taken(by session: SessionSeat, _ id: String) throws -> ReceivedMessage? {
        try send([id])
        return try session.takeAll(1).first
    }

    private func order(_ sender: any MessageSender, _ body: (any MessageSender) -> Void) throws {
        let seat = stage.add(sender) { sender.takeEvents() }
        try seat.next("sender standing") { if case .standing = $0 { true } else { nil } }
        body(sender)
        try seat.next("sent") { if case .sent = $0 { true } else { nil } }
        stage.leave(seat)
    }

    func store() throws -> StoreSeat { try StoreSeat(stage, fixture.makeStore()).stand() }

    /// A record's state as a client would read it.
    func state(of taskID: String) throws -> String? {
        let store = try store()
        defer { stage.leave(store.seat) }
        return try store.fetch(taskID)?.state
    }
}
