import CoppiceRedis
import CoppiceShared
import CoppiceSystem
import Testing

@testable import CoppiceTransport

/// What every ledger does, without a broker beside it.
@Suite(.ownThread) struct LedgerConformanceTests {
    enum Kind: String, CaseIterable, CustomTestStringConvertible {
        case redis, sqlite
        var testDescription: String { rawValue }
    }

    private let stage = Stage()
    private let redis: RedisFixture
    private let sqlite: SQLiteFixture

    init() throws {
        redis = try RedisFixture()
        sqlite = try SQLiteFixture()
    }

    /// One node's ledger on the stage.
    private struct Place {
        let ledger: any Ledger
        let seat: Seat<LedgerEvent>
        let incarnation: Incarnation

        func claim(_ message: String, again: Bool) throws -> (verdict: ClaimVerdict?, mark: String) {
            let mark = RedisTag.make(incarnation, incarnation.reserve(1), step: 0)
            ledger.claim([Claim(message: message, mark: mark, mayBeKnown: again)])
            ledger.flush()
            let verdicts = try seat.next("claimed") { if case .claimed(let verdicts) = $0 { verdicts } else { nil } }
            return (verdicts.first, mark)
        }

        func order(_ message: String, _ mark: String, _ step: LedgerEntry.Step, writes: [ResultWrite] = []) {
            let envelope = Envelope.write(TaskPublication.named("1"), deliveryTag: "tag")
            ledger.record([
                LedgerEntry(message: message, mark: mark, queue: "celery", step: step, taskID: "1", writes: writes, envelope: envelope)
            ])
            ledger.flush()
        }

        func record(_ message: String, _ mark: String, _ step: LedgerEntry.Step) throws -> CommitVerdict? {
            order(message, mark, step)
            return try seat.next("recorded") { if case .recorded(let verdicts) = $0 { verdicts } else { nil } }.first
        }
    }

    private func place(_ kind: Kind, book: ClaimBook = ClaimBook()) throws -> Place {
        let incarnation = Incarnation()
        let ledger: any Ledger =
            switch kind {
            case .redis: RedisLedger(redis.url, resultExpiry: 60, incarnation: incarnation, book: book)
            case .sqlite:
                SQLiteLedger(
                    path: sqlite.path, node: "celery@test", joinsResults: true, resultExpiry: 60, incarnation: incarnation, book: book)
            }
        let seat = stage.add(ledger) { ledger.takeEvents() }
        try seat.next("standing") { if case .standing = $0 { true } else { nil } }
        return Place(ledger: ledger, seat: seat, incarnation: incarnation)
    }

    @Test(arguments: Kind.allCases) func whatWasStartedIsNobodyElsesUntilItsVerdict(kind: Kind) throws {
        let dying = try place(kind)
        let first = try dying.claim("1:0", again: false)
        #expect(first.verdict == .ours)
        #expect(try dying.record("1:0", first.mark, .start) == .done)
        #expect(try dying.record("1:0", first.mark, .start) == .done, "its answer was lost")
        #expect(try dying.claim("1:0", again: true).verdict == .resumed(mark: first.mark))
        let heir = try place(kind)
        let other = try place(kind)
        stage.leave(dying.seat)
        // Whoever inherits it has not concluded it yet.
        let (place, orphan) = try stage.wait("the orphan") { () -> (Place, ReceivedMessage)? in
            for place in [heir, other] {
                let found = place.seat.popFirst { if case .orphaned(let messages) = $0 { messages.first } else { nil } }
                if let found { return (place, found) }
            }
            return nil
        }
        // Past the burial.
        try stage.pass(seconds: 1)
        for place in [heir, other] {
            let verdict = try place.claim("1:0", again: true).verdict
            #expect(verdict != .ours && verdict != .double)
        }
        stage.enter(dying.seat)
        #expect(try dying.claim("1:0", again: true).verdict == .taken, "it is not its own any more")
        #expect(try dying.record("1:0", first.mark, .finish) == .void)
        #expect(try place.record("1:0", orphan.tag.value, .finish) == .done)
        for place in [heir, other, dying] { #expect(try place.claim("1:0", again: true).verdict == .finished) }
        #expect(try other.claim("1:0", again: false).verdict == .ours, "a new message of that name")
    }

    @Test(arguments: Kind.allCases) func aSecondMessageOfAStartedOnesNameRunsOnItsOwn(kind: Kind) throws {
        let place = try place(kind)
        let first = try place.claim("1:0", again: false)
        #expect(try place.record("1:0", first.mark, .start) == .done)
        let second = try place.claim("1:0", again: false)
        #expect(second.verdict == .double)
        #expect(try place.record("1:0#" + second.mark, second.mark, .finish) == .done)
        #expect(try place.record("1:0", first.mark, .release) == .done)
        #expect(try place.claim("1:0", again: true).verdict == .ours)
    }

    @Test func aFullRedisStillTakesClaims() throws {
        let place = try place(.redis)
        #expect(try redis.ask(RedisCommand("CONFIG", "SET", "maxmemory", "1000")).error == nil)
        let claim = try place.claim("1:0", again: false)
        #expect(claim.verdict == .ours)
        #expect(try place.record("1:0", claim.mark, .start) == .done)
        #expect(try place.record("1:0", claim.mark, .finish) == .done)
    }

    @Test func whatCannotBeRecordedKeepsItsClaim() throws {
        let place = try place(.redis)
        let claim = try place.claim("1:0", again: false)
        #expect(try place.record("1:0", claim.mark, .start) == .done)
        #expect(try redis.ask(RedisCommand("ACL", "SETUSER", "default", "resetchannels")).error == nil)
        place.order("1:0", claim.mark, .finish, writes: [.named("1", .success)])
        let reason = try place.seat.next("lost") { if case .lost(let reason) = $0 { reason } else { nil } }
        #expect(reason.contains("permission"))
        #expect(try redis.ask(RedisCommand("GET", "coppice.claim.1:0")).text == "started " + claim.mark)
        #expect(try redis.ask(RedisCommand("HLEN", "coppice.started")).integer == 1)
    }

    @Test func aLedgerWithoutAPlaceForResultsSaysSo() throws {
        #expect(try redis.ask(RedisCommand("ACL", "SETUSER", "default", "resetchannels")).error == nil)
        let ledger = RedisLedger(redis.url, resultExpiry: 60, incarnation: Incarnation(), book: ClaimBook())
        let seat = stage.add(ledger) { ledger.takeEvents() }
        let reason = try seat.next("lost") { if case .lost(let reason) = $0 { reason } else { nil } }
        #expect(reason.contains("permission") && reason.contains("celery-task-meta-"))
    }
}
