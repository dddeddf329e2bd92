import CoppiceAMQP
import CoppiceShared
import CoppiceSystem
import CoppiceTransport
import Testing

/// An operator's hands on RabbitMQ, and questions to the nodes.
@Suite(.ownThread) struct AMQPOperationsTests {
    private func operations(_ fixture: RabbitMQFixture, _ stage: Stage) throws -> (AMQPQueueOperations, Seat<QueueEvent>) {
        let operations = AMQPQueueOperations(fixture.url)
        let seat = stage.add(operations) { operations.takeEvents() }
        try seat.next("standing") { if case .standing = $0 { true } else { nil } }
        return (operations, seat)
    }

    @Test func queuesAreCountedAndEmptied() throws {
        let fixture = try RabbitMQFixture()
        let scene = BrokerScene(fixture)
        try scene.send(["1", "2", "3"])
        let (operations, seat) = try operations(fixture, scene.stage)
        operations.survey(["celery", "nowhere"])
        let states = try seat.next("queues") { if case .queues(let states) = $0 { states } else { nil } }
        var missing = QueueState(name: "nowhere", waiting: 0)
        missing.isMissing = true
        #expect(states == [QueueState(name: "celery", waiting: 3, consumers: 0), missing])
        for (queue, count) in [("celery", 3), ("celery", 0), ("nowhere", 0)] {
            operations.purge(queue)
            #expect(try seat.next("purged") { if case .purged(let waiting, _) = $0 { waiting } else { nil } } == count)
        }
        #expect(try fixture.count("celery") == 0)
    }

    @Test func messagesAreMovedInTheirOrder() throws {
        let fixture = try RabbitMQFixture()
        let scene = BrokerScene(fixture)
        let ids = (0..<700).map { "task-\($0)" }
        try scene.send(ids, priority: 3)
        let (operations, seat) = try operations(fixture, scene.stage)
        var moved: [Int] = []
        while moved.last != 0 {
            operations.move(from: "celery", to: "other", upTo: 650 - moved.reduce(0, +))
            moved.append(try seat.next("moved") { if case .moved(let count) = $0 { count } else { nil } })
            if moved.reduce(0, +) == 650 { break }
        }
        #expect(moved == [100, 100, 100, 100, 100, 100, 50])
        #expect(try fixture.count("celery") == 50)
        let taken = try scene.session(["other"]).takeAll(100)
        #expect(taken.map(\.id) == Array(ids[..<100]))
        #expect(try taken[0].content.get().priority == 3)
        operations.move(from: "nowhere", to: "other", upTo: 5)
        #expect(try seat.next("moved") { if case .moved(let count) = $0 { count } else { nil } } == 0)
    }

    @Test func nodesAnswerACaller() throws {
        let fixture = try RabbitMQFixture()
        let scene = BrokerScene(fixture)
        let sessions = [try scene.session(node: "celery@a"), try scene.session(node: "celery@b")]
        let caller = AMQPControlCaller(fixture.url)
        let seat = scene.stage.add(caller) { caller.takeEvents() }
        try seat.next("standing") { if case .standing = $0 { true } else { nil } }
        caller.call(["method": "ping", "arguments": [:], "destination": nil])
        try seat.next("asked") { if case .asked = $0 { true } else { nil } }
        for (index, session) in sessions.enumerated() {
            let body = try session.seat.next("control") { if case .control(let body) = $0 { body } else { nil } }
            let request = try JSONValue(parsing: body)
            #expect(request["method"] == "ping")
            let answer: JSONValue = ["node": .int(index)]
            session.session.reply(
                ControlReply(
                    exchange: try #require(request["reply_to"]?["exchange"]?.string),
                    routingKey: try #require(request["reply_to"]?["routing_key"]?.string),
                    ticket: try #require(request["ticket"]?.string), body: answer.bytes))
        }
        let answers = try (0..<2).map { _ in try seat.next("answer") { if case .answer(let body) = $0 { body } else { nil } } }
        #expect(Set(try answers.map { try JSONValue(parsing: $0)["node"]?.int }) == [0, 1])
        // A caller that is gone, and one that never was.
        caller.close()
        #expect(try seat.next("lost") { if case .lost(let reason) = $0 { reason } else { nil } } == "closed")
        sessions[0].session.reply(ControlReply(exchange: "no-such", routingKey: "k", ticket: "t", body: []))
        sessions[0].session.reply(ControlReply(exchange: String(repeating: "x", count: 300), routingKey: "k", ticket: "t", body: []))
        try scene.broadcast("{\"method\": \"again\"}")
        _ = try sessions[0].seat.next("control") { if case .control = $0 { true } else { nil } }
        #expect(sessions[0].seat.popFirst { if case .lost(let reason) = $0 { reason } else { nil } } == nil)
    }
}
