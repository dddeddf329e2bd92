import CoppiceShared
import Testing

@testable import CoppiceTransport

/// What becomes of a message when one of the two connections is lost between any two steps. Both halves are in memory, so that a step
/// that was carried out and never answered can be had at will.
struct LedgeredSessionTests {
    /// A master's connections, one after the other.
    private final class Desk {
        let pages: FakeLedger.Pages
        let incarnation = Incarnation()
        let book = ClaimBook()
        private(set) var carrier = FakeCarrier()
        private(set) var ledger: FakeLedger
        private(set) var session: LedgeredSession
        private var batch: UInt64 = 0

        init(_ pages: FakeLedger.Pages = FakeLedger.Pages()) {
            self.pages = pages
            ledger = FakeLedger(pages)
            session = LedgeredSession(carrier: carrier, ledger: ledger, incarnation: incarnation, book: book)
        }

        func reconnect() {
            carrier = FakeCarrier()
            ledger = FakeLedger(pages)
            session = LedgeredSession(carrier: carrier, ledger: ledger, incarnation: incarnation, book: book)
        }

        /// What the session has to say by now.
        func turn() -> [BrokerEvent] {
            session.flush()
            return session.takeEvents()
        }

        func take(_ count: Int = 10) -> [ReceivedMessage] {
            _ = turn()
            session.take(upTo: count)
            for case .taken(let messages) in turn() { return messages }
            return []
        }

        /// nil: not answered.
        func commit(_ message: ReceivedMessage, _ steps: Commit.Step..., publications: [TaskPublication] = []) -> [CommitVerdict]? {
            batch += 1
            session.commit(
                steps.map { Commit(message.tag, queue: "celery", $0, taskID: "1", publications: publications) }, as: batch)
            return answer()
        }

        func answer() -> [CommitVerdict]? {
            for case .committed(batch, let verdicts) in turn() { return verdicts }
            return nil
        }

        func isLost() -> Bool {
            turn().contains { if case .lost = $0 { true } else { false } }
        }
    }

    private let message = TaskPublication.named("1")

    /// RabbitMQ gives what the lost session had to another node, which runs it.
    private func loseAndLeaveToAnother(_ desk: Desk) throws {
        desk.carrier.fall()
        #expect(desk.isLost())
        desk.reconnect()
        _ = desk.turn()
        let other = Desk(desk.pages)
        try other.carrier.deliver("b", message, again: true)
        #expect(other.take().map(\.id) == ["1"])
    }

    @Test func aClaimWhoseAnswerWasLostStandsInNobodysWay() throws {
        let desk = Desk()
        desk.ledger.answers = false
        try desk.carrier.deliver("a", message)
        #expect(desk.take().isEmpty && desk.pages.claims.count == 1)
        try loseAndLeaveToAnother(desk)
    }

    @Test func aClaimThatNobodyAskedForStandsInNobodysWay() throws {
        let desk = Desk()
        _ = desk.turn()
        try desk.carrier.deliver("a", message)
        _ = desk.turn()
        #expect(desk.pages.claims.count == 1, "claimed before it is asked for")
        try loseAndLeaveToAnother(desk)
    }

    @Test func whatOthersHaveGoesBackToTheCarrier() throws {
        let desk = Desk()
        for tag in ["a", "b", "c"] { try desk.carrier.deliver(tag, .named(tag)) }
        let taken = desk.take(2)
        desk.ledger.tell(gone: desk.book.marks.keys.sorted())
        #expect(desk.turn().contains { if case .gone(let tags) = $0 { tags.count == 3 } else { false } })
        #expect(desk.carrier.requeued.sorted() == ["a", "b", "c"])
        #expect(desk.commit(taken[0], .conclude) == [.void])
        #expect(desk.carrier.acknowledged.isEmpty && desk.book.count == 0 && desk.take().isEmpty)
    }

    @Test func aVoidVerdictGivesTheMessageBack() throws {
        let desk = Desk()
        try desk.carrier.deliver("a", message)
        let taken = try #require(desk.take().first)
        desk.pages.claims = [:]
        #expect(desk.commit(taken, .conclude) == [.void])
        #expect(desk.carrier.requeued == ["a"])
    }

    /// It is acknowledged, so that the copy is all there is: it must stand before the start record goes.
    @Test(arguments: [true, false]) func whatHasStartedGoesBackAsACopyFirst(inOneBatch: Bool) throws {
        let desk = Desk()
        try desk.carrier.deliver("a", message)
        let taken = try #require(desk.take().first)
        if inOneBatch {
            #expect(desk.commit(taken, .startEarly, .putBack(front: true)) == nil)
        } else {
            #expect(desk.commit(taken, .startEarly) == [.done] && desk.carrier.acknowledged == ["a"])
            #expect(desk.commit(taken, .putBack(front: true)) == nil)
        }
        guard case .publication(let copy)? = desk.carrier.sent.first?.sendings.first else { Issue.record("no copy"); return }
        #expect(desk.pages.started == [taken.tag.value], "until the copy is confirmed")
        desk.carrier.confirm()
        #expect(desk.answer()?.allSatisfy { $0 == .done } == true)
        #expect(desk.pages.started.isEmpty && desk.carrier.requeued.isEmpty && desk.carrier.acknowledged == ["a"])
        try desk.carrier.deliver("b", copy)
        #expect(desk.take().map(\.id) == ["1"])
    }

    @Test func aCommitThatWasLostOnItsWayIsSentOnOnce() throws {
        let desk = Desk()
        try desk.carrier.deliver("a", message)
        let taken = try #require(desk.take().first)
        _ = desk.commit(taken, .startEarly)
        #expect(desk.commit(taken, .putBack(front: true)) == nil)
        guard case .publication(let copy)? = desk.carrier.sent.first?.sendings.first else { Issue.record("no copy"); return }
        // The copy stands, its confirmation was lost; the outbox says it all once more.
        desk.carrier.fall()
        #expect(desk.isLost())
        desk.reconnect()
        _ = desk.turn()
        #expect(desk.commit(taken, .putBack(front: true)) == nil)
        guard case .publication(let second)? = desk.carrier.sent.first?.sendings.first else { Issue.record("no copy"); return }
        desk.carrier.confirm()
        #expect(desk.answer() == [.done])
        try desk.carrier.deliver("b", copy)
        try desk.carrier.deliver("c", second)
        #expect(desk.take().count == 1, "two copies of one name")
    }

    @Test(arguments: [Commit.Step.park(until: .now), .putBack(front: false)])
    func anOriginalThatComesAgainBehindItsCopyIsNotRun(step: Commit.Step) throws {
        let desk = Desk()
        try desk.carrier.deliver("a", message)
        let taken = try #require(desk.take().first)
        #expect(desk.commit(taken, step) == nil)
        guard case .copy(of: DeliveryTag("a"), queue: "celery", let mark, _)? = desk.carrier.sent.first?.sendings.first else {
            Issue.record("no copy")
            return
        }
        desk.carrier.confirm()
        #expect(desk.answer() == [.done] && desk.carrier.acknowledged == ["a"])
        // The acknowledgement was lost with its connection.
        desk.carrier.fall()
        #expect(desk.isLost())
        desk.reconnect()
        try desk.carrier.deliver("b", message, again: true)
        #expect(desk.take().isEmpty && desk.carrier.acknowledged == ["b"])
        var copy = message
        var headers = try #require(try JSONValue(parsing: copy.headers).object)
        headers[TaskMessage.copyMarkHeader.description] = .string(mark)
        copy.headers = JSONValue.object(headers).bytes
        try desk.carrier.deliver("c", copy)
        #expect(desk.take().map(\.id) == ["1"])
    }

    @Test func whatCannotBeSentOnIsStillHeldAndCanBeSetAside() throws {
        let desk = Desk()
        try desk.carrier.deliver("a", message)
        let taken = try #require(desk.take().first)
        #expect(desk.commit(taken, .conclude, publications: [message]) == nil)
        desk.carrier.confirm(failure: "its name is too long")
        #expect(desk.answer() == [.refused("its name is too long")])
        #expect(desk.pages.written.isEmpty && desk.carrier.acknowledged.isEmpty && desk.pages.claims.count == 1)
        #expect(desk.commit(taken, .setAside(reason: "its name is too long")) == [.done])
        #expect(desk.pages.written.count == 1 && desk.pages.written.first?.contains("its name is too long") == true)
        #expect(desk.carrier.acknowledged == ["a"])
    }

    @Test func aStepThatPublishesDoesNotHoldUpTheOthers() throws {
        let desk = Desk()
        for tag in ["a", "b"] { try desk.carrier.deliver(tag, .named(tag)) }
        let taken = desk.take()
        #expect(desk.commit(taken[0], .conclude, publications: [message]) == nil)
        #expect(desk.commit(taken[1], .conclude) == [.done])
        #expect(desk.carrier.acknowledged == ["b"])
    }

    @Test func whoStopsTakingGivesBackWhatNobodyAskedFor() throws {
        let desk = Desk()
        for tag in ["a", "b", "c"] { try desk.carrier.deliver(tag, .named(tag)) }
        let taken = desk.take(1)
        desk.session.stopTaking()
        #expect(desk.carrier.isStopped && desk.carrier.requeued == ["b", "c"])
        #expect(desk.pages.claims.count == 1)
        #expect(desk.commit(taken[0], .conclude) == [.done])
        #expect(desk.take().isEmpty)
    }

    @Test func whatWasDeliveredBeforeGoesFirst() throws {
        let desk = Desk()
        for tag in ["a", "b"] { try desk.carrier.deliver(tag, .named(tag)) }
        _ = desk.turn()
        for tag in ["c", "d"] { try desk.carrier.deliver(tag, .named(tag), again: true) }
        #expect(desk.take().map(\.id) == ["c", "d", "a", "b"])
    }

    /// Two messages of one id: each comes back for its own task.
    @Test func aDoubleIsAdoptedAsADouble() throws {
        let desk = Desk()
        for tag in ["a", "b"] { try desk.carrier.deliver(tag, message) }
        let taken = desk.take()
        #expect(taken.count == 2)
        desk.carrier.fall()
        #expect(desk.isLost())
        desk.reconnect()
        for tag in ["c", "d"] { try desk.carrier.deliver(tag, message, again: true) }
        #expect(desk.take().isEmpty && desk.carrier.acknowledged.isEmpty)
        #expect(desk.commit(taken[0], .conclude) == [.done] && desk.carrier.acknowledged.count == 1)
        #expect(desk.commit(taken[1], .conclude) == [.done] && Set(desk.carrier.acknowledged) == ["c", "d"])
    }
}
