import CoppiceShared
import CoppiceSystem
import CoppiceTransport
import Testing

/// What leaves the dead-letter place, on every broker.
@Suite(.ownThread) struct DeadLetterConformanceTests {
    private typealias Place = (operations: any QueueOperations, seat: Seat<QueueEvent>)

    private func place(_ scene: BrokerScene) throws -> Place {
        let operations = scene.fixture.makeDeadLetterPlace()
        let seat = scene.stage.add(operations) { operations.takeEvents() }
        try seat.next("standing") { if case .standing = $0 { true } else { nil } }
        return (operations, seat)
    }

    private func letters(_ place: Place) throws -> [CoppiceTransport.DeadLetter] {
        place.operations.deadLetters(upTo: 100)
        return try place.seat.next("dead letters") { if case .deadLetters(let letters) = $0 { letters } else { nil } }
    }

    private func fate(_ place: Place) throws -> DeadLetterFate {
        try place.seat.next("a dead letter's fate") { if case .deadLetterLeft(let fate) = $0 { fate } else { nil } }
    }

    /// Sets messages of these ids aside; with each an attempt that is not forgotten by it.
    private func setAside(_ ids: [String], _ session: SessionSeat, _ scene: BrokerScene) throws {
        for id in ids {
            let message = try #require(try scene.taken(by: session, id))
            _ = try begin(message, session)
            #expect(try session.commit(message, .setAside(reason: "because of \(id)")))
        }
    }

    /// How many attempts there were before.
    private func begin(_ message: ReceivedMessage, _ session: SessionSeat) throws -> Int? {
        let story = AttemptStory(node: "celery@test", mark: message.tag.value, at: .now)
        let verdicts = try session.verdicts([
            Commit(message.tag, queue: message.queue, .keep, taskID: message.taskID ?? "", attempt: .begins(story))
        ])
        guard case .begun(let earlier) = verdicts.first else { return nil }
        return earlier.count
    }

    @Test(arguments: Broker.keepers) func aMessageThatIsPutBackStandsBehindTheOthersWithItsPriority(broker: Broker) throws {
        let scene = try BrokerScene(broker)
        let session = try scene.session(["celery", "other"])
        try scene.send([.named("dead", priority: 9)])
        let message = try #require(try session.takeAll(1).first)
        #expect(try session.commit(message, .setAside(reason: "test")))
        try scene.send(["first"], priority: 9)
        let place = try place(scene)
        let letter = try #require(try letters(place).first)
        place.operations.retryDeadLetter(letter.id, to: nil)
        #expect(try fate(place) == .done)
        #expect(try letters(place).isEmpty && scene.fixture.deadLetters().isEmpty)
        let taken = try session.takeAll(2)
        #expect(taken.map(\.id) == ["first", "dead"])
        #expect(try taken.last?.content.get().priority == 9)
        place.operations.retryDeadLetter(letter.id, to: nil)
        #expect(try fate(place) == .noRecord)
    }

    @Test(arguments: Broker.keepers) func itGoesToAnotherQueueAndItsAttemptsAreForgotten(broker: Broker) throws {
        let scene = try BrokerScene(broker)
        let session = try scene.session(["celery", "other"])
        try setAside(["1"], session, scene)
        // What nobody puts back is remembered.
        let again = try #require(try scene.taken(by: session, "1"))
        #expect(try begin(again, session) == 1)
        #expect(try session.commit(again, .setAside(reason: "test")))
        let place = try place(scene)
        let letter = try #require(try letters(place).first)
        place.operations.retryDeadLetter(letter.id, to: "other")
        #expect(try fate(place) == .done)
        let message = try #require(try session.takeAll(1).first)
        #expect(message.queue == "other" && message.id == "1")
        #expect(try begin(message, session) == 0)
    }

    @Test(arguments: Broker.allCases) func whatIsDroppedIsGoneWithItsMessage(broker: Broker) throws {
        let scene = try BrokerScene(broker)
        let session = try scene.session()
        try setAside(["1", "2", "3"], session, scene)
        let place = try place(scene)
        let second = try letters(place)[1].id
        place.operations.dropDeadLetter(second)
        #expect(try fate(place) == .done)
        place.operations.dropDeadLetter(second)
        #expect(try fate(place) == .noRecord)
        #expect(try scene.fixture.deadLetters().map(\.taskID) == ["1", "3"])
        place.operations.deadLetter(second)
        #expect(try place.seat.next("nothing") { if case .deadLetter(let letter, _) = $0 { letter == nil } else { nil } })
        #expect(try session.take(1).isEmpty)
    }

    /// An operator's list never names another message.
    @Test(arguments: Broker.allCases) func noIdIsGivenTwice(broker: Broker) throws {
        let scene = try BrokerScene(broker)
        let session = try scene.session()
        let place = try place(scene)
        var seen: Set<String> = []
        for id in ["1", "2", "3"] {
            try setAside([id], session, scene)
            let letter = try #require(try letters(place).first)
            #expect(seen.insert(letter.id).inserted)
            place.operations.dropDeadLetter(letter.id)
            #expect(try fate(place) == .done)
        }
    }

    @Test(arguments: Broker.allCases) func attemptsAreForgottenForABrokerBesideTheLedger(broker: Broker) throws {
        let scene = try BrokerScene(broker)
        let session = try scene.session()
        try setAside(["1"], session, scene)
        let place = try place(scene)
        place.operations.forgetAttempts(of: "1")
        #expect(try place.seat.next("forgotten") { if case .attemptsForgotten = $0 { true } else { nil } })
        let message = try #require(try scene.taken(by: session, "1"))
        #expect(try begin(message, session) == 0)
    }

    @Test(arguments: Broker.keepers) func aRecordWithoutItsMessageStays(broker: Broker) throws {
        let scene = try BrokerScene(broker)
        var limits = DeadLetterLimits()
        limits.bytes = 1
        let session = try scene.session(deadLetters: limits)
        try setAside(["1"], session, scene)
        let place = try place(scene)
        let letter = try #require(try letters(place).first)
        #expect(!letter.hasMessage)
        place.operations.retryDeadLetter(letter.id, to: nil)
        #expect(try fate(place) == .noMessage)
        #expect(try letters(place).count == 1)
        #expect(try session.take(1).isEmpty)
        place.operations.dropDeadLetter(letter.id)
        #expect(try fate(place) == .done)
    }

    /// A copy of a dead letter that is sent twice, since whoever put it back was killed before the record was gone, runs once.
    @Test(arguments: [Broker.rabbitmq, .rabbitmqWithFile]) func aCopyThatIsSentTwiceRunsOnce(broker: Broker) throws {
        let scene = try BrokerScene(broker)
        let session = try scene.session()
        let message = try #require(try scene.taken(by: session, "1"))
        #expect(try session.commit(message, .setAside(reason: "test")))
        let copy = TaskPublication(copyOf: try message.content.get(), to: "celery", mark: "dead:1:0")
        try scene.send([copy])
        let first = try #require(try session.takeAll(1).first)
        #expect(first.id == "1")
        #expect(try session.commit(first, .conclude))
        try scene.send([copy])
        try scene.send(["2"])
        #expect(try session.takeAll(1).map(\.id) == ["2"])
    }
}
