import CoppiceShared
import CoppiceSystem
@testable import CoppiceTransport
import Testing

/// RabbitMQ with a ledger beside it: what a lost connection, a death and a pause do to what was claimed. Deaths take their five
/// seconds: these tests run side by side.
@Suite(.ownThread) struct LedgerTests {
    private static let brokers: [Broker] = [.rabbitmq, .rabbitmqWithFile]

    private func orphans(_ session: SessionSeat) throws -> [ReceivedMessage] {
        try session.seat.next("orphaned") { if case .orphaned(let messages) = $0 { messages } else { nil } }
    }

    /// The connection goes, and what stands behind it is none the wiser: as at a kill -9, or at a cut that the node survives.
    private func cut(_ session: inout SessionSeat?, _ scene: BrokerScene) {
        if let seat = session?.seat { scene.stage.leave(seat) }
        session = nil
    }

    @Test(arguments: brokers) func whatADeadNodeHadRunsAgainOrIsKnownAsLost(broker: Broker) throws {
        let scene = try BrokerScene(broker)
        try scene.send(["1", "2", "3"])
        var dying: SessionSeat? = try scene.session()
        let held = try #require(try dying?.takeAll(3))
        #expect(try dying?.commit(held[0], .keep) == true)
        #expect(try dying?.commit(held[1], .startEarly) == true)
        let heir = try scene.session()
        let start = MonotonicTime.now
        cut(&dying, scene)
        let next = try heir.takeAll(2)
        #expect(MonotonicTime.now.seconds(since: start) > 4, "their holder counted as alive")
        #expect(MonotonicTime.now.seconds(since: start) < 10)
        #expect(Set(next.map(\.id)) == ["1", "3"])
        let orphan = try #require(try orphans(heir).first)
        #expect(orphan.id == "2" && orphan.queue == "celery")
        #expect(try heir.commit(orphan, .conclude, writes: [.named("2", .failure)]))
        #expect(try scene.state(of: "2") == "FAILURE")
        for message in next { #expect(try heir.commit(message, .conclude, writes: [.named(message.id, .success)])) }
        #expect(try scene.state(of: "1") == "SUCCESS")
    }

    @Test(arguments: brokers) func whatComesOnceMoreWhileItRunsIsAdopted(broker: Broker) throws {
        let scene = try BrokerScene(broker)
        try scene.send(["1", "2", "3"])
        let incarnation = Incarnation()
        var first: SessionSeat? = try scene.session(incarnation: incarnation)
        let held = try #require(try first?.takeAll(3))
        #expect(try first?.commit(held[0], .startEarly) == true)
        cut(&first, scene)
        let second = try scene.session(incarnation: incarnation, holding: held.map(\.tag))
        // Both come once more, and are nothing new; so does the first if its acknowledgement was on the way.
        let ledgered = try #require(second.session as? LedgeredSession)
        try scene.stage.wait("adoption") {
            held.dropFirst().allSatisfy { ledgered.book[$0.tag.value]?.brokerTag != nil } ? true : nil
        }
        #expect(try second.take(10).isEmpty)
        #expect(try second.commit(held[0], .conclude, writes: [.named("1", .success)]))
        #expect(try second.commit(held[1], .conclude, writes: [.named("2", .success)]))
        #expect(try second.commit(held[2], .putBack(front: true)))
        #expect(try second.takeAll(1).map(\.id) == ["3"])
        #expect(try scene.state(of: "2") == "SUCCESS")
        #expect((scene.fixture as? RabbitMQFixture)?.holdings(of: incarnation) == 1)
    }

    @Test(arguments: brokers) func whatEndedWithoutItsBrokerIsAcknowledgedWhereverItComes(broker: Broker) throws {
        let scene = try BrokerScene(broker)
        try scene.send(["1", "2"])
        let incarnation = Incarnation()
        var first: SessionSeat? = try scene.session(incarnation: incarnation)
        let held = try #require(try first?.takeAll(2))
        let other = try scene.session()
        cut(&first, scene)
        // The other one is given both, and may start neither: their holder is alive, as its next session shows.
        let ledgered = try #require(other.session as? LedgeredSession)
        try scene.stage.wait("two messages that are another's") { ledgered.contested.count == 2 ? true : nil }
        #expect(try other.take(10).isEmpty)
        let second = try scene.session(incarnation: incarnation, holding: held.map(\.tag))
        for message in held { #expect(try second.commit(message, .conclude, writes: [.named(message.id, .success)])) }
        try scene.stage.pass(seconds: 3)
        #expect(try other.take(10).isEmpty && second.take(10).isEmpty)
        #expect(try other.close() == "closed" && second.close() == "closed")
        let rabbit = try #require(scene.fixture as? RabbitMQFixture)
        #expect(try rabbit.count("celery") == 0, "nothing was given back")
    }

    @Test(arguments: brokers) func whoWasStoppedPastItsLeaseOverwritesNothing(broker: Broker) throws {
        let scene = try BrokerScene(broker)
        try scene.send(["1", "2"])
        let stopped = try scene.session()
        let held = try stopped.takeAll(2)
        #expect(try stopped.commit(held[0], .startEarly))
        let heir = try scene.session()
        scene.stage.leave(stopped.seat)
        let orphan = try #require(try orphans(heir).first)
        #expect(try heir.commit(orphan, .conclude, writes: [.named("1", .failure)]))
        scene.stage.enter(stopped.seat)
        stopped.session.commit([Commit(held[0].tag, queue: "celery", .conclude, taskID: "1", writes: [.named("1", .success)])], as: 1)
        // Its connection may be lost for its silence; then the next session asks again.
        let verdict = try scene.stage.wait("an answer or an end") { () -> Bool? in
            stopped.seat.popFirst {
                switch $0 {
                case .committed(_, let verdicts): verdicts == [.void]
                case .lost: true
                default: nil
                }
            }
        }
        #expect(verdict)
        #expect(try scene.state(of: "1") == "FAILURE")
    }

    /// Its acknowledgement may not have reached RabbitMQ, which then delivers it to another node.
    @Test(arguments: brokers) func whatWasStartedIsNobodysToRunUntilItIsConcluded(broker: Broker) throws {
        let scene = try BrokerScene(broker)
        let rabbit = try #require(scene.fixture as? RabbitMQFixture)
        func member() throws -> (incarnation: Incarnation, ledger: any Ledger, seat: Seat<LedgerEvent>) {
            let incarnation = Incarnation()
            let ledger = rabbit.makeLedger(node: "celery@test", incarnation: incarnation, deadLetters: DeadLetterLimits())
            let seat = scene.stage.add(ledger) { ledger.takeEvents() }
            try seat.next("standing") { if case .standing = $0 { true } else { nil } }
            return (incarnation, ledger, seat)
        }
        var lastMark = ""
        func claim(_ member: (incarnation: Incarnation, ledger: any Ledger, seat: Seat<LedgerEvent>)) throws -> ClaimVerdict? {
            let mark = "\(member.incarnation.id):\(member.incarnation.reserve(1)):0"
            lastMark = mark
            member.ledger.claim([Claim(message: "1:0", mark: mark, mayBeKnown: true)])
            member.ledger.flush()
            return try member.seat.next("claimed") { if case .claimed(let verdicts) = $0 { verdicts.first } else { nil } }
        }
        func record(_ step: LedgerEntry.Step, _ mark: String, by member: (ledger: any Ledger, seat: Seat<LedgerEvent>)) throws {
            let envelope = Envelope.write(.named("1"), deliveryTag: "t")
            let entry = LedgerEntry(message: "1:0", mark: mark, queue: "celery", step: step, taskID: "1", writes: [], envelope: envelope)
            member.ledger.record([entry])
            member.ledger.flush()
            let verdicts = try member.seat.next("recorded") { if case .recorded(let verdicts) = $0 { verdicts } else { nil } }
            #expect(verdicts == [.done])
        }
        let starter = try member()
        let heirs = [try member(), try member()]
        #expect(try claim(starter) == .ours)
        try record(.start, lastMark, by: (starter.ledger, starter.seat))
        scene.stage.leave(starter.seat)
        var orphan: (heir: Int, mark: String)?
        let end = MonotonicTime.now.advanced(by: 15)
        while orphan == nil, MonotonicTime.now < end {
            try scene.stage.pass(seconds: 0.1)
            for (index, heir) in heirs.enumerated() {
                let verdict = try claim(heir)
                #expect(verdict != .ours && verdict != .double)
                if let messages = heir.seat.popFirst({ if case .orphaned(let messages) = $0 { messages } else { nil } }) {
                    orphan = messages.first.map { (index, $0.tag.value) }
                }
            }
        }
        let (index, mark) = try #require(orphan)
        // The file knows its heir; Redis knows only that it is nobody's to run.
        let own = try claim(heirs[index])
        #expect(own == .resumed(mark: mark) || own == .taken)
        #expect(try claim(heirs[1 - index]) == .taken)
        try record(.finish, mark, by: (heirs[index].ledger, heirs[index].seat))
        for heir in heirs { #expect(try claim(heir) == .finished) }
    }

    @Test(arguments: brokers) func theNextSessionIsToldWhatHasGoneMeanwhile(broker: Broker) throws {
        let scene = try BrokerScene(broker)
        try scene.send(["1", "2"])
        let incarnation = Incarnation()
        var first: SessionSeat? = try scene.session(incarnation: incarnation)
        let held = try #require(try first?.takeAll(2))
        let heir = try scene.session()
        cut(&first, scene)
        for message in try heir.takeAll(2) { #expect(try heir.commit(message, .conclude)) }
        // One that counts its lease on and is lost before it hears anything.
        let silent = scene.fixture.makeSession(
            ["celery"], node: "celery@test", incarnation: incarnation, holding: held.map(\.tag), joinsResults: true,
            deadLetters: DeadLetterLimits())
        let seat = scene.stage.add(silent) { silent.takeEvents() }
        try seat.next("standing") { if case .standing = $0 { true } else { nil } }
        scene.stage.leave(seat)
        let next = try scene.session(incarnation: incarnation, holding: held.map(\.tag))
        let told = [seat.inbox, next.seat.inbox].flatMap(\.self).contains { if case .gone = $0 { true } else { false } }
        #expect(told)
        #expect(try next.commit(held[0], .startEarly) == false)
    }

    @Test(arguments: brokers) func aSecondMessageOfAnIDRunsOnItsOwn(broker: Broker) throws {
        let scene = try BrokerScene(broker)
        try scene.send(["1"])
        let session = try scene.session()
        let first = try #require(try session.takeAll(1).first)
        try scene.send(["1"])
        let second = try #require(try session.takeAll(1).first)
        #expect(second.id == "1" && second.tag != first.tag)
        #expect(try session.commit(second, .conclude))
        #expect(try session.commit(first, .conclude))
        try scene.send(["1"])
        #expect(try session.takeAll(1).count == 1, "and after its end")
    }

    @Test(arguments: brokers) func aRetryThatWasSentTwiceRunsOnce(broker: Broker) throws {
        let scene = try BrokerScene(broker)
        var retry = TaskPublication.named("1")
        retry.headers = Array(#"{"id": "1", "task": "example.add", "retries": 1}"#.utf8)
        try scene.send([retry, retry])
        let session = try scene.session()
        let first = try #require(try session.takeAll(1).first)
        try scene.send([retry])
        try scene.stage.pass(seconds: 1.5)
        #expect(try session.take(10).isEmpty)
        #expect(try session.commit(first, .conclude))
        #expect(try session.close() == "closed")
        #expect(try (scene.fixture as? RabbitMQFixture)?.count("celery") == 0)
    }

    @Test(arguments: brokers) func whatIsSentOnStandsBeforeTheEnd(broker: Broker) throws {
        let scene = try BrokerScene(broker)
        try scene.send(["1"])
        let session = try scene.session()
        let message = try #require(try session.takeAll(1).first)
        let verdicts = try session.verdicts([
            Commit(message.tag, queue: "celery", .conclude, taskID: "1", writes: [.named("1", .success)], publications: [.named("2")])
        ])
        #expect(verdicts == [.done])
        #expect(try session.takeAll(1).map(\.id) == ["2"])
        #expect(try scene.state(of: "1") == "SUCCESS")
    }
}
