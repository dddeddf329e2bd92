import CoppiceSQLite
import CoppiceShared
import CoppiceSystem
@testable import CoppiceTransport
import Testing

/// What masters of both kinds, with the embedded broker and with a ledger beside another one, leave each other in one file. A death takes
/// its five seconds: these tests run side by side.
@Suite(.ownThread) struct SQLiteLeaseTests {
    private let fixture: SQLiteFixture
    private let stage = Stage()

    init() throws { fixture = try SQLiteFixture() }

    private func session() throws -> SessionSeat {
        let incarnation = Incarnation()
        let session = fixture.makeSession(
            ["celery"], node: "celery@test", incarnation: incarnation, holding: [], joinsResults: true, deadLetters: DeadLetterLimits())
        return try SessionSeat(stage, session, incarnation: incarnation).stand()
    }

    private func ledger(
        _ incarnation: Incarnation = Incarnation(), book: ClaimBook = ClaimBook()
    ) throws -> (ledger: SQLiteLedger, seat: Seat<LedgerEvent>) {
        let ledger = SQLiteLedger(
            path: fixture.path, node: "celery@test", joinsResults: true, resultExpiry: 3600, incarnation: incarnation, book: book)
        let seat = stage.add(ledger) { ledger.takeEvents() }
        try seat.next("standing") { if case .standing = $0 { true } else { nil } }
        return (ledger, seat)
    }

    /// A node that is dead from the beginning.
    private func plantNode() throws -> Int {
        let database = try StoreFile.open(fixture.path)
        try database.statement("INSERT INTO node (incarnation, name, counter) VALUES ('dead', 'celery@dead', 1)").run()
        return database.lastInsertedRow
    }

    private func plantClaim(_ message: String, node: Int, isStarted: Bool) throws {
        let database = try StoreFile.open(fixture.path)
        try database.statement("INSERT INTO claim (message, node, mark, queue, raw) VALUES (?1, ?2, ?1, 'celery', ?3)")
            .run(.text(message), .int(node), isStarted ? .blob(Array("{}".utf8)) : nil)
    }

    private func wait(_ what: String, until isSo: () throws -> Bool) throws {
        var outcome = Result { try isSo() }
        let end = MonotonicTime.now.advanced(by: 15)
        while try !outcome.get() {
            guard MonotonicTime.now < end else { throw DidNotCome(what: what, seen: "") }
            try stage.pass(seconds: 0.1)
            outcome = Result { try isSo() }
        }
    }

    @Test func whatADeadNodeClaimedIsLeftToALedger() throws {
        let broker = try session()
        let dead = try plantNode()
        try plantClaim("1:0", node: dead, isStarted: true)
        // A second one, which holds nothing, shows that the first was seen to.
        try fixture.execute("INSERT INTO node (incarnation, name, counter) VALUES ('empty', 'celery@empty', 1)")
        try wait("the end of the empty one") { try fixture.count("node WHERE incarnation = 'empty'") == 0 }
        #expect(try fixture.count("node WHERE incarnation = 'dead'") == 1)
        stage.leave(broker.seat)
        let heir = try ledger()
        let orphans = try heir.seat.next("orphaned") { if case .orphaned(let messages) = $0 { messages } else { nil } }
        #expect(orphans.map(\.queue) == ["celery"])
        #expect(try fixture.count("node WHERE incarnation = 'dead'") == 0)
    }

    /// Nobody but the table knows what its claim is called.
    @Test func aClaimThatCantBeReadLeavesForTheDeadLetterPlace() throws {
        let incarnation = Incarnation()
        let book = ClaimBook()
        let ledger = SQLiteLedger(
            path: fixture.path, node: "celery@test", joinsResults: true, resultExpiry: 3600, incarnation: incarnation, book: book)
        let session = LedgeredSession(carrier: FakeCarrier(), ledger: ledger, incarnation: incarnation, book: book)
        let heir = try SessionSeat(stage, session, incarnation: incarnation).stand()
        try plantClaim("1:0", node: try plantNode(), isStarted: true)
        let orphans = try heir.seat.next("orphaned") { if case .orphaned(let messages) = $0 { messages } else { nil } }
        #expect(orphans.map(\.id).allSatisfy { $0.hasPrefix("defect: ") } && orphans.count == 1)
        #expect(try heir.commit(orphans[0], .setAside(reason: "test"), writes: [.named("1", .failure)]))
        #expect(try fixture.count("claim WHERE finished IS NULL") == 0)
        #expect(try fixture.deadLetters().map(\.body) == [Array("{}".utf8)])
        #expect(try fixture.count("result") == 1)
    }

    /// Of a record without a message nothing is left to be told.
    @Test func aRecordWithoutAMessageGoes() throws {
        _ = try session()
        let dead = try plantNode()
        try fixture.execute("INSERT INTO held VALUES (\(dead), 1, 999, 1)")
        try wait("its end") { try fixture.count("held") == 0 }
        #expect(try fixture.count("node WHERE incarnation = 'dead'") == 0)
    }

    @Test func whatADeadNodeHeldIsLeftToABroker() throws {
        _ = try ledger()
        let dead = try plantNode()
        try fixture.plant([0], in: "celery")
        try fixture.execute("INSERT INTO held SELECT \(dead), 1, message, 0 FROM waiting; DELETE FROM waiting")
        try fixture.execute("INSERT INTO node (incarnation, name, counter) VALUES ('empty', 'celery@empty', 1)")
        try wait("the end of the empty one") { try fixture.count("node WHERE incarnation = 'empty'") == 0 }
        #expect(try fixture.count("node WHERE incarnation = 'dead'") == 1)
    }

    @Test func whoSignsOffLeavesWhatItHasJustInherited() throws {
        let leaving = try ledger()
        let node = 1
        try plantClaim("1:0", node: node, isStarted: true)
        try plantClaim("2:0", node: node, isStarted: false)
        leaving.ledger.close()
        let reason = try leaving.seat.next("lost") { if case .lost(let reason) = $0 { reason } else { nil } }
        #expect(reason == "closed")
        #expect(try fixture.count("node WHERE id = \(node)") == 1, "found dead by others")
        #expect(try fixture.count("claim WHERE message = '1:0'") == 1)
        #expect(try fixture.count("claim WHERE message = '2:0'") == 0, "delivered to others at once")
    }

    @Test func whoIsClosingTakesNothingOver() throws {
        let leaving = try session()
        let dead = try plantNode()
        try fixture.plant([0], in: "celery")
        try fixture.execute("INSERT INTO held SELECT \(dead), 1, message, 1 FROM waiting; DELETE FROM waiting")
        // Its first look, and four more.
        func beats() throws -> Int {
            let database = try StoreFile.open(fixture.path)
            return try database.statement("SELECT sum(counter) FROM node").first { $0.int(0) } ?? 0
        }
        let before = try beats()
        try wait("five beats") { try beats() >= before + 5 }
        let locker = try StoreFile.open(fixture.path)
        try locker.execute("BEGIN IMMEDIATE")
        // The next beat, at which the other one counts as dead, waits for the lock.
        try stage.pass(seconds: 1.5)
        leaving.session.close()
        try locker.execute("ROLLBACK")
        #expect(try leaving.lost() == "closed")
        #expect(leaving.seat.popFirst { if case .orphaned(let messages) = $0 { messages } else { nil } } == nil)
        #expect(try fixture.count("held WHERE node = \(dead)") == 1)
    }

    @Test func whoClaimsBeforeItLooksIsToldWhatHasGone() throws {
        let incarnation = Incarnation()
        let book = ClaimBook()
        let (ledger, seat) = try ledger(incarnation, book: book)
        func claim(_ message: String) throws {
            let mark = "\(incarnation.id):\(message)"
            ledger.claim([Claim(message: message, mark: mark, mayBeKnown: false)])
            try seat.next("claimed") { if case .claimed = $0 { true } else { nil } }
            book[mark] = ClaimBook.Holding(message: message, queue: "celery", content: nil, raw: [], brokerTag: nil)
        }
        try claim("1:0")
        // It was taken for dead, and its next claim makes it a new node.
        try fixture.execute("DELETE FROM claim; DELETE FROM node")
        try claim("2:0")
        let gone = try seat.next("gone") { if case .gone(let marks) = $0 { marks } else { nil } }
        #expect(gone == ["\(incarnation.id):1:0"])
    }

    @Test func claimsOfLongAgoGoAPieceAtATime() throws {
        let incarnation = Incarnation()
        let (ledger, seat) = try ledger(incarnation)
        try fixture.execute(
            """
            WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5000)
            INSERT INTO claim (message, mark, finished) SELECT 'old' || i, '', 1 FROM n
            """)
        ledger.claim((0..<10).map { Claim(message: "\($0):0", mark: "\(incarnation.id):\($0):0", mayBeKnown: false) })
        let verdicts = try seat.next("claimed") { if case .claimed(let verdicts) = $0 { verdicts } else { nil } }
        #expect(verdicts.allSatisfy { $0 == .ours })
        let left = try fixture.count("claim WHERE finished IS NOT NULL")
        #expect(left > 4000 && left <= 5000 - 10, "more than came, and not all at once")
    }
}
