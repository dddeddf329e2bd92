import CoppiceAMQP
import CoppiceShared
import CoppiceSystem
import CoppiceTransport
import Testing

/// What is RabbitMQ's own: declarations, adoption, quorum queues, delay queues, confirmations.
@Suite(.ownThread) struct AMQPBrokerTests {
    private func fixture() throws -> (RabbitMQFixture, BrokerScene) {
        let fixture = try RabbitMQFixture()
        return (fixture, BrokerScene(fixture))
    }

    private func notice(_ session: SessionSeat, _ words: String) throws -> String {
        try session.seat.next("notice of \(words)") { if case .notice(let text) = $0, text.contains(words) { text } else { nil } }
    }

    @Test func itDeclaresWhatACeleryWorkerDeclares() throws {
        let (fixture, scene) = try fixture()
        let session = try scene.session()
        // A declaration with other flags would be refused.
        try fixture.ask([
            .exchangeDeclare("celery", type: "direct"), .queueDeclare("celery"),
            .exchangeDeclare("celery.pidbox", type: "fanout", durable: false),
            .exchangeDeclare("reply.celery.pidbox", type: "direct", durable: false), .exchangeDeclare("celeryev", type: "topic"),
        ])
        #expect(throws: DidNotCome.self) { try fixture.ask([.queueDeclare("celery.pidbox"), .queueExists("celery@test.celery.pidbox")]) }
        try fixture.ask([.queueDeclare("probe")])
        var message = AMQPMessage(exchange: "celery", routingKey: "celery", properties: AMQPProperties(), body: [1])
        message.properties.headers = ["id": "1", "task": "t"]
        message.properties.contentType = "application/json"
        try fixture.ask([], then: message)
        #expect(try session.takeAll(1).map(\.id) == ["1"], "bound to its exchange")
    }

    @Test func aQueueThatStandsOtherwiseIsUsedAsItIs() throws {
        let (fixture, scene) = try fixture()
        try fixture.ask([
            .queueDeclare("celery", arguments: ["x-max-length": 7]), .exchangeDeclare("celery.pidbox", type: "fanout", durable: true),
        ])
        let session = try scene.session()
        #expect(try notice(session, "the queue celery ").contains("406"))
        #expect(try notice(session, "celery.pidbox").contains("406"))
        try scene.send(["1"])
        let message = try #require(try session.takeAll(1).first)
        #expect(try session.commit(message, .conclude))
        try scene.broadcast("{\"method\": \"ping\"}")
        _ = try session.seat.next("control") { if case .control = $0 { true } else { nil } }
        #expect(session.seat.popFirst { if case .notice(let text) = $0 { text } else { nil } } == nil)
    }

    @Test func headersArriveWhateverTheirKind() throws {
        let (_, scene) = try fixture()
        let headers: JSONObject = [
            "id": "1", "task": "t", "none": nil, "yes": true, "big": 9_007_199_254_740_993, "small": -3, "least": .int(.min),
            "half": 0.5, "text": "naïve 🐇", "empty": "", "list": [nil, 1, [2, ["x": 3]], []], "table": ["a": ["b": nil]],
            "huge": .bigInt("123456789012345678901234567890"),
        ]
        var publication = TaskPublication(routingKey: "celery", headers: JSONValue.object(headers).bytes, body: [])
        publication.priority = 3
        publication.correlationID = "other"
        try scene.send([publication])
        let message = try #require(try scene.session().takeAll(1).first).content.get()
        var expected = headers
        expected["huge"] = "123456789012345678901234567890"
        #expect(try JSONValue(parsing: message.headers) == .object(expected))
        #expect(message.priority == 3 && message.correlationID == "other" && message.body.isEmpty && !message.redelivered)
    }

    @Test func whatWasAcknowledgedEarlyIsStillOursUnderTheNextConnection() throws {
        let (fixture, scene) = try fixture()
        try scene.send(["1", "2"])
        let incarnation = Incarnation()
        var first: SessionSeat? = try scene.session(incarnation: incarnation)
        let held = try #require(try first?.takeAll(2))
        for message in held { #expect(try first?.commit(message, .startEarly) == true) }
        #expect(try fixture.count("celery") == 0)
        if let seat = first?.seat { scene.stage.leave(seat) }
        first = nil
        let second = try scene.session(["celery", "other"], incarnation: incarnation)
        #expect(try second.commit(held[0], .conclude, publications: [.named("next", queue: "other")]))
        #expect(try second.commit(held[0], .conclude) == false)
        #expect(try second.commit(held[1], .putBack(front: false)))
        #expect(Set(try second.takeAll(2).map(\.id)) == ["next", "2"])
        #expect(try second.take(1).isEmpty)
    }

    @Test func aFollowUpIsConfirmedBeforeItsMessageIsAcknowledged() throws {
        let (fixture, scene) = try fixture()
        try fixture.ask([.queueDeclare("full", arguments: ["x-max-length": 1, "x-overflow": "reject-publish"])])
        try scene.send(["1", "2"])
        try scene.send([.named("filler", queue: "full")])
        let session = try scene.session()
        let taken = try session.takeAll(2)
        session.session.commit(
            [
                Commit(taken[0].tag, queue: "celery", .conclude, publications: [.named("follow-up", queue: "full")]),
                Commit(taken[1].tag, queue: "celery", .conclude),
            ], as: 1)
        #expect(try notice(session, "refuses a message for full").contains("tried again"))
        try scene.stage.pass(seconds: 1.5)
        #expect(session.seat.popFirst { if case .committed(_, let verdicts) = $0 { verdicts } else { nil } } == nil)
        try fixture.ask([.queuePurge("full")])
        let verdicts = try session.seat.next("committed") { if case .committed(_, let verdicts) = $0 { verdicts } else { nil } }
        #expect(verdicts == [.done, .done])
        #expect(try scene.session(["full"]).takeAll(1).map(\.id) == ["follow-up"])
    }

    @Test func aFollowUpForNoExchangeGoesToTheQueueOfItsKey() throws {
        let (_, scene) = try fixture()
        try scene.send(["1"])
        let session = try scene.session()
        let message = try #require(try session.takeAll(1).first)
        var lost = TaskPublication.named("2", queue: "nowhere")
        lost.exchange = "no-such-exchange"
        var unbound = TaskPublication.named("3", queue: "nowhere")
        unbound.exchange = "celery"
        #expect(try session.commit(message, .conclude, publications: [lost, unbound]))
        #expect(try notice(session, "no-such-exchange").contains("nowhere"))
        #expect(Set(try scene.session(["nowhere"]).takeAll(2).map(\.id)) == ["2", "3"])
    }

    @Test func aMessageWhoseFollowUpDoesNotFitIsHeldStill() throws {
        let (fixture, scene) = try fixture()
        try scene.send(["1"])
        let session = try scene.session()
        let message = try #require(try session.takeAll(1).first)
        let followUp = TaskPublication.named("2", queue: String(repeating: "x", count: 256))
        let verdict = try session.verdicts([Commit(message.tag, queue: "celery", .conclude, publications: [followUp])]).first
        guard case .refused(let why) = verdict else { Issue.record("\(String(describing: verdict))"); return }
        #expect(why.contains("256 bytes"))
        #expect(try session.commit(message, .setAside(reason: why)))
        #expect(try fixture.deadLetters().map(\.taskID) == ["1"])
    }

    @Test func aDeletedQueueIsMadeAnew() throws {
        let (fixture, scene) = try fixture()
        let session = try scene.session(["celery", "other"])
        try fixture.ask([.queueDelete("celery")])
        #expect(try notice(session, "celery was deleted").contains("anew"))
        try scene.send(["1"])
        let message = try #require(try session.takeAll(1).first)
        #expect(try session.commit(message, .conclude))
    }

    /// Of what was delivered and nobody has asked for only so many bytes lie here, whatever the prefetch limit would have.
    @Test func whatFindsNoRoomGoesBackToItsQueue() throws {
        let (fixture, scene) = try fixture()
        fixture.mostBytes = 1 << 20
        let ids = (0..<40).map { "\($0)" }
        try scene.send(ids.map { .named($0, padding: 100_000) })
        let session = try scene.session()
        try scene.stage.wait("the rest in its queue") { ((try? fixture.count("celery")) ?? 0) >= 30 ? true : nil }
        var taken: [String] = []
        while taken.count < ids.count {
            let message = try #require(try session.takeAll(1).first)
            taken.append(message.id)
            #expect(try session.commit(message, .conclude))
        }
        #expect(Set(taken) == Set(ids) && taken.count == ids.count)
        #expect(try fixture.count("celery") == 0)
    }

    @Test func thePrefetchLimitChangesWhileTheSessionStands() throws {
        let (fixture, scene) = try fixture()
        fixture.prefetch = 2
        try scene.send((0..<100).map { "\($0)" })
        let session = try scene.session()
        func wait(for left: ClosedRange<Int>) throws {
            try scene.stage.wait("\(left) in the queue") { left.contains((try? fixture.count("celery")) ?? 0) ? true : nil }
        }
        try wait(for: 98...98)
        session.session.allow(unsettled: 20)
        try wait(for: 78...80)
        // However often it changes, no more come than twice as many.
        for _ in 0..<10 {
            for count in [19, 20] {
                session.session.allow(unsettled: count)
                session.session.flush()
            }
            try scene.stage.pass(seconds: 0.05)
        }
        #expect(try fixture.count("celery") >= 100 - 40)
        session.session.allow(unsettled: 1)
        func conclude(_ count: Int) throws {
            for _ in 0..<count { #expect(try session.commit(try #require(try session.takeAll(1).first), .conclude)) }
        }
        try conclude(40)
        // Once what the larger limit has brought is done, one at a time comes.
        try scene.stage.pass(seconds: 1.5)
        try conclude(40)
        try wait(for: 17...19)
        try conclude(20)
        #expect(try fixture.count("celery") == 0)
    }

    @Test func theHighestPriorityOfWhatLiesHereIsTakenFirst() throws {
        let (fixture, scene) = try fixture()
        var queue = QueueDeclaration("celery")
        queue.maximumPriority = 9
        let session = try scene.session([queue])
        // Each is here before the next is sent.
        for priority in [0, 1, 9, 3, 9] {
            try scene.send([.named("\(priority)", priority: priority)])
            try scene.stage.wait("it to be here") { (try? fixture.count("celery")) == 0 ? true : nil }
        }
        try scene.stage.pass(seconds: 0.2)
        #expect(try session.take(5).map(\.id) == ["9", "9", "3", "1", "0"])
    }

    @Test func aMessageThatIsTooLargeIsNotKept() throws {
        let (fixture, scene) = try fixture()
        fixture.largestMessage = 10_000
        try scene.send([.named("large", padding: 300_000), .named("small")])
        let taken = try scene.session().takeAll(2)
        #expect(taken.map(\.id) == ["large", "small"])
        #expect(taken[0].size > 300_000)
        #expect(try taken[0].content.get().body.isEmpty)
        #expect(try !taken[1].content.get().body.isEmpty)
    }

    @Test func whatIsNoTaskComesWithWhatThereIsOfIt() throws {
        let (fixture, scene) = try fixture()
        try fixture.plant(Array("no task".utf8), in: "celery")
        let session = try scene.session()
        let message = try #require(try session.takeAll(1).first)
        #expect(message.id.hasPrefix("defect: no task header"))
        let envelope = try JSONValue(parsing: try #require(message.envelope))
        #expect(envelope["body"]?.string.flatMap { Base64.decode($0.utf8) } == Array("no task".utf8))
        #expect(try session.commit(message, .setAside(reason: "test")))
        #expect(try fixture.count("celery") == 0)
    }

    @Test func whatWasDeliveredBeforeGoesFirst() throws {
        let (_, scene) = try fixture()
        try scene.send(["1", "2", "3"])
        let session = try scene.session()
        let taken = try session.takeAll(2)
        let verdicts = try session.commit(taken.map { Commit($0.tag, queue: $0.queue, .putBack(front: true)) })
        #expect(verdicts == [true, true])
        try scene.stage.pass(seconds: 0.3)
        #expect(try session.takeAll(3).map(\.id) == ["1", "2", "3"])
    }

    @Test func whoStopsTakingLeavesTheRestToOthers() throws {
        let (_, scene) = try fixture()
        let session = try scene.session()
        try scene.send(["1", "2", "3"])
        let first = try session.takeAll(1)
        session.session.stopTaking()
        try scene.send(["4"])
        let other = try scene.session()
        #expect(Set(try other.takeAll(3).map(\.id)) == ["2", "3", "4"])
        #expect(try session.commit(first[0], .putBack(front: true)))
        #expect(try other.takeAll(1).map(\.id) == ["1"])
        #expect(try session.take(10).isEmpty)
    }

    @Test func theHigherPriorityGoesFirst() throws {
        let (fixture, scene) = try fixture()
        try fixture.ask([.queueDeclare("celery", arguments: ["x-max-priority": 10])])
        for priority in [0, 9, 5] { try scene.send(["p\(priority)"], priority: priority) }
        var queue = QueueDeclaration("celery")
        queue.maximumPriority = 10
        let session = try scene.session([queue])
        #expect(try session.takeAll(3).map(\.id) == ["p9", "p5", "p0"])
        #expect(session.seat.popFirst { if case .notice(let text) = $0 { text } else { nil } } == nil)
    }

    @Test func itClosesInOrder() throws {
        let (fixture, scene) = try fixture()
        try scene.send(["1"])
        let session = try scene.session()
        let message = try #require(try session.takeAll(1).first)
        let start = MonotonicTime.now
        session.session.commit([Commit(message.tag, queue: "celery", .conclude)], as: 1)
        _ = try session.seat.next("committed") { if case .committed(_, let verdicts) = $0 { verdicts } else { nil } }
        #expect(try session.close() == "closed")
        #expect(MonotonicTime.now.seconds(since: start) < 1)
        #expect(try fixture.count("celery") == 0)
    }
}
