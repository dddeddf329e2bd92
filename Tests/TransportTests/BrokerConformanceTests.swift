import CoppiceShared
import CoppiceSystem
import CoppiceTransport
import Testing

/// What every broker session does: taking, settling and sending.
@Suite(.ownThread) struct BrokerConformanceTests {
    @Test(arguments: Broker.allCases) func messagesComeInTheOrderInWhichTheyWereSent(broker: Broker) throws {
        let scene = try BrokerScene(broker)
        let ids = (0..<50).map { "task-\($0)" }
        try scene.send(ids)
        let taken = try scene.session().takeAll(50)
        #expect(taken.map(\.id) == ids)
        #expect(taken.allSatisfy { $0.queue == "celery" && $0.size > 0 })
        #expect(Set(taken.map(\.tag)).count == 50)
    }

    @Test(arguments: Broker.allCases) func aMessageArrivesAsItWasSent(broker: Broker) throws {
        let scene = try BrokerScene(broker)
        var publication = TaskPublication.named("task-1", priority: 6)
        publication.replyTo = "reply-queue"
        publication.body = [0, 1, 2, 0xFF]
        publication.contentType = "application/x-python-serialize"
        publication.contentEncoding = "binary"
        try scene.send([publication])
        let message = try #require(try scene.session().takeAll(1).first).content.get()
        #expect(message.id == "task-1" && message.name == "example.add" && message.priority == 6)
        #expect(message.replyTo == "reply-queue" && message.correlationID == "task-1" && message.routingKey == "celery")
        #expect(message.contentType == "application/x-python-serialize" && message.contentEncoding == "binary")
        #expect(message.bodyIsBase64 ? Base64.decode(message.body) == publication.body : message.body == publication.body)
    }

    @Test(arguments: Broker.keepers) func lowPriorityNumbersComeFirstByKombusSteps(broker: Broker) throws {
        let scene = try BrokerScene(broker)
        for priority in [9, 8, 7, 6, 5, 4, 3, 2, 1, 0] { try scene.send(["p\(priority)"], priority: priority) }
        let taken = try scene.session().take(100).map(\.id)
        #expect(taken == ["p2", "p1", "p0", "p5", "p4", "p3", "p8", "p7", "p6", "p9"])
    }

    @Test(arguments: Broker.keepers) func priorityGoesBeforeTheOrderOfQueues(broker: Broker) throws {
        let scene = try BrokerScene(broker)
        try scene.send(["a-late"], queue: "a", priority: 9)
        try scene.send(["b-early"], queue: "b", priority: 0)
        #expect(try scene.session(["a", "b"]).take(2).map(\.id) == ["b-early", "a-late"])
    }

    @Test(arguments: Broker.keepers) func queuesAreServedInTurn(broker: Broker) throws {
        let scene = try BrokerScene(broker)
        for queue in ["a", "b", "c"] { try scene.send(["\(queue)1", "\(queue)2"], queue: queue) }
        try scene.send(["d1"], queue: "d")
        let session = try scene.session(["a", "b", "c"])
        let taken = try (0..<6).map { _ in try session.take(1).map(\.queue).joined() }
        #expect(taken == ["a", "b", "c", "a", "b", "c"])
        #expect(try session.take(1).isEmpty, "the queue d is not ours")
    }

    @Test(arguments: Broker.allCases) func ofSeveralBatchesThatAreUnderWayEachIsAnsweredByItsNumber(broker: Broker) throws {
        let scene = try BrokerScene(broker)
        try scene.send(["a", "b", "c"])
        let session = try scene.session()
        let commits = try session.takeAll(3).map { Commit($0.tag, queue: $0.queue, .conclude, taskID: $0.id) }
        var sendingOn = commits[0]
        sendingOn.publications = [.named("next")]
        session.session.commit([sendingOn], as: 7)
        session.session.commit(Array(commits[1...]), as: 8)
        var held: [UInt64: Int] = [:]
        for _ in 0..<2 {
            let answer = try session.seat.next("committed") {
                if case .committed(let batch, let verdicts) = $0 { (batch, verdicts) } else { nil }
            }
            held[answer.0] = answer.1.filter { !$0.isVoid }.count
        }
        #expect(held == [7: 1, 8: 2])
        #expect(try session.takeAll(1).map(\.id) == ["next"])
    }

    @Test(arguments: Broker.allCases) func noMoreIsTakenThanAskedFor(broker: Broker) throws {
        let scene = try BrokerScene(broker)
        try scene.send((0..<10).map { "task-\($0)" })
        let session = try scene.session()
        #expect(try session.takeAll(4).count == 4)
        #expect(try session.takeAll(4).count == 4)
        #expect(try session.take(4).count == 2)
    }

    @Test(arguments: Broker.allCases) func aMessageThatComesLaterRings(broker: Broker) throws {
        let scene = try BrokerScene(broker)
        let session = try scene.session()
        #expect(try session.take(1).isEmpty)
        var waited = 0.0
        for round in 0..<10 {
            try scene.send(["task-\(round)"])
            let start = MonotonicTime.now
            #expect(try session.takeAll(1).map(\.id) == ["task-\(round)"])
            waited += MonotonicTime.now.seconds(since: start)
        }
        // Every session also looks by itself now and then, about once a second.
        #expect(waited < 2, "told, not found by chance")
    }

    @Test(arguments: Broker.keepers) func whatIsPutBackInFrontIsNext(broker: Broker) throws {
        let scene = try BrokerScene(broker)
        try scene.send(["1", "2", "3"])
        let session = try scene.session()
        let taken = try session.take(2)
        for message in taken.reversed() { #expect(try session.commit(message, .putBack(front: true))) }
        #expect(try session.takeAll(3).map(\.id) == ["1", "2", "3"])
    }

    @Test(arguments: Broker.allCases) func whatIsPutBackBehindIsLast(broker: Broker) throws {
        let scene = try BrokerScene(broker)
        try scene.send(["1", "2", "3"])
        let session = try scene.session()
        let first = try #require(try session.takeAll(1).first)
        #expect(try session.commit(first, .putBack(front: false)))
        #expect(try session.takeAll(3).map(\.id) == ["2", "3", "1"])
    }

    @Test(arguments: Broker.keepers) func aMessageKeepsItsPriorityWhenItIsPutBack(broker: Broker) throws {
        let scene = try BrokerScene(broker)
        try scene.send(["late"], priority: 9)
        let session = try scene.session()
        let late = try #require(try session.take(1).first)
        try scene.send(["early"], priority: 0)
        #expect(try session.commit(late, .putBack(front: true)))
        #expect(try session.takeAll(2).map(\.id) == ["early", "late"])
    }

    @Test(arguments: Broker.keepers) func whatIsParkedComesBackInTimeAndFirst(broker: Broker) throws {
        let scene = try BrokerScene(broker)
        try scene.send(["1", "2"])
        let session = try scene.session()
        let first = try #require(try session.take(1).first)
        let due = WallTime.now.advanced(by: 2.5)
        #expect(try session.commit(first, .park(until: due)))
        #expect(try session.take(10).map(\.id) == ["2"])
        try scene.send(["3"])
        // The bell may ring for "3" alone, and each second without a reason.
        while WallTime.now < due.advanced(by: -1.5) { try scene.stage.pass(seconds: 0.1) }
        _ = try scene.stage.wait("the message's time", seconds: 5) {
            while session.seat.popFirst({ if case .rang = $0 { true } else { nil } }) != nil {}
            return WallTime.now > due.advanced(by: -0.9) ? true : nil
        }
        #expect(try session.takeAll(2).map(\.id) == ["1", "3"])
        #expect(WallTime.now < due, "handed out early, so that the holder waits for the last bit")
    }

    @Test(arguments: Broker.allCases) func parkedMessagesRingAndAreReleasedToAnyNode(broker: Broker) throws {
        let scene = try BrokerScene(broker)
        try scene.send(["1"])
        let session = try scene.session()
        let first = try #require(try session.takeAll(1).first)
        #expect(try session.commit(first, .park(until: WallTime.now.advanced(by: 2))))
        #expect(try session.close() == "closed")
        let other = try scene.session()
        #expect(try other.takeAll(1).map(\.id) == ["1"])
    }

    @Test(arguments: Broker.allCases) func aConcludedMessageIsGone(broker: Broker) throws {
        let scene = try BrokerScene(broker)
        try scene.send(["1"])
        let session = try scene.session()
        let message = try #require(try session.takeAll(1).first)
        #expect(try session.commit(message, .keep))
        #expect(try session.commit(message, .keep))
        #expect(try session.commit(message, .conclude))
        #expect(try session.commit(message, .conclude) == false)
        #expect(try session.commit(message, .putBack(front: true), publications: [.named("2")]) == false)
        #expect(try session.take(1).isEmpty)
    }

    /// Its answer was lost with a connection: the next session tells it again.
    @Test(arguments: Broker.keepers) func aStartThatIsToldTwiceIsDoneTwice(broker: Broker) throws {
        let scene = try BrokerScene(broker)
        try scene.send(["1"])
        let session = try scene.session()
        let message = try #require(try session.takeAll(1).first)
        #expect(try session.commit(message, .startEarly))
        #expect(try session.commit(message, .startEarly))
        #expect(try session.commit(message, .conclude))
        #expect(try session.commit(message, .startEarly) == false)
    }

    @Test(arguments: Broker.allCases) func everyStepHasItsOwnVerdict(broker: Broker) throws {
        let scene = try BrokerScene(broker)
        try scene.send(["1", "2"])
        let session = try scene.session()
        let taken = try session.takeAll(2)
        let foreign = DeliveryTag("\(Incarnation.randomID()):1:0")
        let verdicts = try session.commit([
            Commit(taken[0].tag, queue: "celery", .conclude), Commit(taken[0].tag, queue: "celery", .conclude),
            Commit(foreign, queue: "celery", .conclude), Commit(DeliveryTag("nonsense"), queue: "celery", .conclude),
            Commit(taken[1].tag, queue: "celery", .conclude),
        ])
        #expect(verdicts == [true, false, false, false, true])
    }

    @Test(arguments: Broker.allCases) func severalCommitsMayBeUnderWay(broker: Broker) throws {
        let scene = try BrokerScene(broker)
        try scene.send((0..<20).map(String.init))
        let session = try scene.session()
        for message in try session.takeAll(20) { session.session.commit([Commit(message.tag, queue: message.queue, .conclude)], as: 1) }
        for _ in 0..<20 {
            let verdicts: [CommitVerdict] = try session.seat.next("committed") {
                if case .committed(_, let verdicts) = $0 { verdicts } else { nil }
            }
            #expect(verdicts == [.done])
        }
    }

    @Test(arguments: Broker.allCases) func publicationsGoWithTheStepOrNotAtAll(broker: Broker) throws {
        let scene = try BrokerScene(broker)
        try scene.send(["1"])
        let session = try scene.session()
        let message = try #require(try session.takeAll(1).first)
        #expect(try session.commit(message, .conclude, publications: [.named("2"), .named("3", queue: "other")]))
        #expect(try session.commit(message, .conclude, publications: [.named("4")]) == false)
        #expect(try session.takeAll(1).map(\.id) == ["2"])
        #expect(try session.take(10).isEmpty)
        #expect(try scene.session(["other"]).takeAll(1).map(\.id) == ["3"])
    }

    @Test(arguments: Broker.allCases) func writesGoWithTheStepOrNotAtAll(broker: Broker) throws {
        let scene = try BrokerScene(broker)
        try scene.send(["1"])
        let session = try scene.session()
        let message = try #require(try session.take(1).first)
        #expect(try session.commit(message, .startEarly, writes: [.named("1", .started)]))
        #expect(try scene.state(of: "1") == "STARTED")
        #expect(try session.commit(message, .conclude, writes: [.named("1", .success, "5")]))
        #expect(try session.commit(message, .conclude, writes: [.named("1", .failure), .named("2", .failure)]) == false)
        #expect(try scene.state(of: "1") == "SUCCESS")
        #expect(try scene.state(of: "2") == nil)
    }

    @Test(arguments: Broker.allCases) func whatIsSetAsideIsKeptWithItsReason(broker: Broker) throws {
        let scene = try BrokerScene(broker)
        let raw = Array("this is { no JSON".utf8)
        try scene.send(["1"])
        try scene.fixture.plant(raw, in: "other")
        let session = try scene.session(["celery", "other"])
        for message in try session.takeAll(2) {
            #expect(message.id.hasPrefix("defect: ") == (message.queue == "other"))
            #expect(try session.commit(message, .setAside(reason: "because of \(message.queue)")))
        }
        let dead = try scene.fixture.deadLetters()
        #expect(dead.map(\.reason) == ["because of celery", "because of other"])
        #expect(dead.map(\.queue) == ["celery", "other"])
        #expect(dead.map(\.taskID) == ["1", nil])
        #expect(dead.last?.body == raw)
        #expect(try session.take(1).isEmpty)
    }

    @Test(arguments: Broker.allCases) func theOldestBodyMakesRoomAtTheDeadLetterPlace(broker: Broker) throws {
        let scene = try BrokerScene(broker)
        var limits = DeadLetterLimits()
        limits.records = 7
        limits.bytes = 10_000
        let session = try scene.session(deadLetters: limits)
        for number in 0..<9 { try scene.send([.named("\(number)", padding: 1200)]) }
        for message in try session.takeAll(9) { #expect(try session.commit(message, .setAside(reason: "test"))) }
        let dead = try scene.fixture.deadLetters()
        #expect(dead.map(\.taskID) == (2..<9).map(String.init))
        let kept = dead.map { $0.body != nil }
        #expect(kept.firstIndex(of: true) ?? 0 > 0 && kept == kept.sorted { !$0 && $1 }, "the oldest went")
        let size = dead.reduce(0) { $0 + ($1.body?.count ?? 0) }
        #expect(size <= limits.bytes && size > limits.bytes / 2)
        var notices = 0
        while session.seat.popFirst({ if case .notice = $0 { true } else { nil } }) != nil { notices += 1 }
        #expect(notices == 1)
    }

    @Test(arguments: Broker.allCases) func aRevocationIsKnownToWhoComesLaterBeforeItsMessage(broker: Broker) throws {
        let scene = try BrokerScene(broker)
        try scene.revoke(["early"])
        let session = try scene.session()
        let early = try session.seat.next("revoked") { if case .revoked(let ids) = $0 { ids } else { nil } }
        #expect(early == ["early"])
        try scene.revoke(["late", "early"])
        try scene.send(["late"])
        func place(_ pick: (BrokerEvent) -> Bool) -> Int? { session.seat.inbox.firstIndex(where: pick) }
        var answers = 0
        let taken = try scene.stage.wait("taken") {
            // The first look may come before the message does.
            let taken = session.seat.inbox.compactMap { if case .taken(let messages) = $0 { messages.count } else { nil } }
            if taken.count >= answers, taken.last != 1 {
                answers = taken.count + 1
                session.session.take(upTo: 1)
                session.session.flush()
            }
            return place { if case .taken(let messages) = $0 { messages.count == 1 } else { false } }
        }
        let told = try #require(place { if case .revoked(["late"]) = $0 { true } else { false } }, "once, and only what is new")
        #expect(told < taken)
        // The looks that came too early were answered, too: the next answer is that of the next take.
        while session.seat.popFirst({ if case .taken = $0 { true } else { nil } }) != nil {}
        session.session.revoke(["heard"])
        #expect(try session.commit(try #require(try scene.taken(by: session, "5")), .conclude))
        let later = try scene.session()
        let all = try later.seat.next("revoked") { if case .revoked(let ids) = $0 { ids } else { nil } }
        #expect(all == ["early", "late", "heard"])
    }

    /// An attempt at a task, as a master writes it down: its mark is the message's tag.
    private func story(_ message: ReceivedMessage, end: String? = nil) -> AttemptStory {
        AttemptStory(
            node: "celery@test", mark: message.tag.value, at: WallTime(microseconds: 1_700_000_000_000_000), end: end,
            lastLines: end == nil ? [] : ["ü", "Fatal error: \"\\n\""])
    }

    private func note(
        _ note: AttemptNote, on message: ReceivedMessage, _ step: Commit.Step = .keep, by session: SessionSeat
    ) throws -> CommitVerdict? {
        try session.verdicts([Commit(message.tag, queue: message.queue, step, taskID: "1", attempt: note)]).first
    }

    @Test(arguments: Broker.allCases) func attemptsAreCountedOverDeathsAndForgottenWithTheVerdict(broker: Broker) throws {
        let scene = try BrokerScene(broker)
        try scene.send(["1"])
        let session = try scene.session()
        let first = try #require(try session.takeAll(1).first)
        let death = story(first, end: "signal 9")
        #expect(try note(.begins(story(first)), on: first, by: session) == .begun(earlier: []))
        #expect(try note(.died(death), on: first, .putBack(front: true), by: session) == .done)
        let second = try #require(try session.takeAll(1).first)
        #expect(try note(.begins(story(second)), on: second, by: session) == .begun(earlier: [death]))
        #expect(try note(.withdrawn, on: second, .putBack(front: true), by: session) == .done)
        let third = try #require(try session.takeAll(1).first)
        #expect(try note(.begins(story(third)), on: third, by: session) == .begun(earlier: [death]), "the second came to nothing")
        // Its node dies with it: nobody writes an end.
        #expect(try session.commit(third, .putBack(front: true)))
        let fourth = try #require(try session.takeAll(1).first)
        #expect(try note(.begins(story(fourth)), on: fourth, by: session) == .begun(earlier: [death, story(third)]))
        #expect(try note(.over, on: fourth, .conclude, by: session) == .done)
        #expect(try note(.over, on: fourth, .conclude, by: session) == .void)
        try scene.send(["1"])
        let fifth = try #require(try session.takeAll(1).first)
        #expect(try note(.begins(story(fifth)), on: fifth, by: session) == .begun(earlier: []))
    }

    /// As when the answer was lost with its connection.
    @Test(arguments: Broker.allCases) func anAttemptThatIsWrittenDownTwiceCountsOnce(broker: Broker) throws {
        let scene = try BrokerScene(broker)
        try scene.send(["1"])
        let session = try scene.session()
        let first = try #require(try session.takeAll(1).first)
        for _ in 0..<2 { #expect(try note(.begins(story(first)), on: first, by: session) == .begun(earlier: [])) }
        #expect(try note(.died(story(first, end: "x")), on: first, .putBack(front: true), by: session) == .done)
        let second = try #require(try session.takeAll(1).first)
        #expect(try note(.begins(story(second)), on: second, by: session) == .begun(earlier: [story(first, end: "x")]))
    }

    @Test(arguments: [Broker.sqlite, .rabbitmqWithFile]) func anotherMessageOfAnIDThatRunsIsNoDeath(broker: Broker) throws {
        let scene = try BrokerScene(broker)
        try scene.send(["1", "1", "1"])
        let session = try scene.session()
        let copies = try session.takeAll(3)
        for copy in copies { #expect(try note(.begins(story(copy)), on: copy, by: session) == .begun(earlier: [])) }
        #expect(try note(.withdrawn, on: copies[1], .putBack(front: true), by: session) == .done)
        #expect(try note(.over, on: copies[2], .conclude, by: session) == .done)
        let death = story(copies[0], end: "signal 9")
        #expect(try note(.died(death), on: copies[0], .putBack(front: true), by: session) == .done)
        let next = try #require(try session.takeAll(1).first)
        #expect(try note(.begins(story(next)), on: next, by: session) == .begun(earlier: [death]))
    }

    @Test(arguments: Broker.allCases) func controlRequestsReachTheNodesThatStand(broker: Broker) throws {
        let scene = try BrokerScene(broker)
        try scene.broadcast("{\"method\": \"too early\"}")
        let sessions = [try scene.session(), try scene.session()]
        let request = "{\"method\": \"ping\", \"arguments\": {}}"
        try scene.broadcast(request)
        for session in sessions {
            let body = try session.seat.next("control") { if case .control(let body) = $0 { body } else { nil } }
            #expect(String(decoding: body, as: UTF8.self) == request)
        }
        sessions[0].session.reply(ControlReply(exchange: "reply.celery.pidbox", routingKey: "k", ticket: "t", body: Array("{}".utf8)))
        try scene.broadcast("{\"method\": \"again\"}")
        for session in sessions {
            _ = try session.seat.next("control") { if case .control(let body) = $0 { body } else { nil } }
        }
    }

    @Test(arguments: Broker.allCases) func twoSessionsLoseNothingAndTakeNothingTwice(broker: Broker) throws {
        let scene = try BrokerScene(broker)
        let ids = (0..<600).map { "task-\($0)" }
        let sessions = [try scene.session(), try scene.session()]
        var seen: [String] = []
        var isAsking = [true, true]
        for session in sessions { session.session.take(upTo: 7) }
        // A third party writes meanwhile.
        let sender = scene.fixture.makeSender()
        _ = scene.stage.add(sender) { sender.takeEvents() }
        for id in ids { sender.publish(.named(id)) }
        try scene.stage.wait("all messages", seconds: 30) {
            for (index, session) in sessions.enumerated() {
                var hasRung = false
                while let event = session.seat.popFirst({ $0 }) {
                    switch event {
                    case .taken(let messages):
                        seen += messages.map(\.id)
                        session.session.commit(messages.map { Commit($0.tag, queue: $0.queue, .conclude) }, as: 1)
                        isAsking[index] = false
                        if messages.count == 7 { hasRung = true }
                    case .committed(_, let verdicts): #expect(verdicts.allSatisfy { $0 == .done })
                    case .rang: hasRung = true
                    default: break
                    }
                }
                if hasRung, !isAsking[index] {
                    isAsking[index] = true
                    session.session.take(upTo: 7)
                }
            }
            return seen.count >= ids.count ? true : nil
        }
        #expect(seen.sorted() == ids.sorted())
    }
}
