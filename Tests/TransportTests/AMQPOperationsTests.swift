import CoppiceAMQP
import CoppiceShared
import CoppiceSystem
import CoppiceTransport
import Testing

/// An operator's hands on RabbitMQ, and questions to the nodes.
@Suite(.ownThread) struct AMQPOperationsTests {
    private func operations(_ fixture: RabbitMQFixture, _ stage: Stage, through proxy: TCPProxy? = nil) throws -> (
        AMQPQueueOperations, Seat<QueueEvent>
    ) {
        if let proxy { _ = stage.add(proxy) { [Int]() } }
        let operations = AMQPQueueOperations(proxy.map { fixture.url(through: $0) } ?? fixture.url)
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

    private func moved(_ seat: Seat<QueueEvent>) throws -> Int {
        try seat.next("moved") { if case .moved(let count) = $0 { count } else { nil } }
    }

    @Test func whatCantBeSentAgainStaysWhereItIs() throws {
        let fixture = try RabbitMQFixture()
        let scene = BrokerScene(fixture)
        // Sent as text and made an array of 40,000 numbers of two bytes on its way back, which fills a frame. Written as we write numbers
        // it is larger than one.
        var wide = AMQPMessage(routingKey: "celery", properties: AMQPProperties(), body: [])
        wide.properties.headers = ["k": .string(String(repeating: "sss", count: 40_000))]
        try fixture.publish(wide)
        try scene.send(["1"])
        let proxy = try TCPProxy(to: fixture.server.port)
        proxy.bend = { piece in
            var piece = piece
            let mark: [UInt8] = [1, UInt8(ascii: "k"), UInt8(ascii: "S")]
            if let range = piece.firstRange(of: mark) { piece[range.upperBound - 1] = UInt8(ascii: "A") }
            return piece
        }
        let (operations, seat) = try operations(fixture, scene.stage, through: proxy)
        operations.move(from: "celery", to: "other", upTo: 10)
        #expect(try moved(seat) == 1)
        #expect(try fixture.count("celery") == 1 && fixture.count("other") == 1)
    }

    @Test func aQueueThatGoesWhileItIsEmptiedIsNoTrouble() throws {
        let fixture = try RabbitMQFixture()
        let scene = BrokerScene(fixture)
        try scene.send(["1"])
        // Behind the confirmation comes the server's word that the consumer is gone, and only then its answer to our own wish.
        let confirmation: [UInt8] = [1, 0, 1, 0, 0, 0, 13, 0, 60, 0, 80]
        let ended: [UInt8] = [1, 0, 3, 0, 0, 0, 10, 0, 60, 0, 30, 4] + Array("move".utf8) + [1, 0xCE]
        let answer: [UInt8] = [1, 0, 3, 0, 0, 0, 9, 0, 60, 0, 31, 4] + Array("move".utf8) + [0xCE]
        var isConfirmed = false
        var isAnswered = false
        let proxy = try TCPProxy(to: fixture.server.port)
        let (operations, seat) = try operations(fixture, scene.stage, through: proxy)
        proxy.bend = { [unowned proxy] piece in
            var piece = piece
            if piece.contains(confirmation) { isConfirmed = true }
            if let range = piece.firstRange(of: answer) {
                piece.removeSubrange(range)
                isAnswered = true
            }
            guard isConfirmed, isAnswered else { return piece }
            proxy.bend = { $0 }
            return piece + ended + answer
        }
        operations.move(from: "celery", to: "other", upTo: 1)
        #expect(try moved(seat) == 1)
        operations.move(from: "celery", to: "other", upTo: 1)
        #expect(try moved(seat) == 0)
    }

    @Test func aRequestBehindARefusalIsAskedAgain() throws {
        let fixture = try RabbitMQFixture()
        let scene = BrokerScene(fixture)
        try scene.send(["1"])
        try fixture.ask([.queueDeclare("other")])
        // Two answers come as one: the first makes the next request, the second has closed its channel.
        let refusal: [UInt8] = [0, 20, 0, 40]
        var held: [UInt8] = []
        let proxy = try TCPProxy(to: fixture.server.port)
        let (operations, seat) = try operations(fixture, scene.stage, through: proxy)
        proxy.bend = { [unowned proxy] piece in
            held += piece
            guard held.contains(refusal) else { return [] }
            proxy.bend = { $0 }
            return held
        }
        operations.move(from: "celery", to: "other", upTo: 1)
        operations.survey(["nowhere"])
        let states = try seat.next("queues") { if case .queues(let states) = $0 { states } else { nil } }
        #expect(states.map(\.isMissing) == [true])
        #expect(try moved(seat) == 1)
    }

    @Test func whatDoesNotFitIntoAMQPIsRefusedAndTheRestIsSent() throws {
        let fixture = try RabbitMQFixture()
        let stage = Stage()
        let sender = AMQPMessageSender(fixture.url)
        let seat = stage.add(sender) { sender.takeEvents() }
        let long = String(repeating: "x", count: 256)
        var unnamed = TaskPublication.named("2")
        unnamed.correlationID = long
        var unreadable = TaskPublication.named("3")
        unreadable.headers = []
        for publication in [.named("1"), .named("1", queue: long), unnamed, unreadable, .named("4")] { sender.publish(publication) }
        let answers = try (0..<5).map { _ in
            try seat.next("an answer") { event -> String? in
                switch event {
                case .sent: "sent"
                case .refused(let reason): reason
                case .lost(let reason): "lost: \(reason)"
                case .standing: nil
                }
            }
        }
        #expect(answers[0] == "sent" && answers[4] == "sent")
        #expect(answers[1].contains("256 bytes") && answers[2].contains("256 bytes") && answers[3].contains("JSON"))
        #expect(try fixture.count("celery") == 2)
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
