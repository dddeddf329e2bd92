import CoppiceSQLite
import CoppiceShared
import CoppiceSystem

/// The ledger in Coppice's file, for the masters of one machine.
public final class SQLiteLedger: Ledger {
    private let lease: NodeLease
    private let resultExpiry: Int
    private let joinsResults: Bool
    private let deadLetters: DeadLetterLimits
    private let incarnation: Incarnation
    private let book: ClaimBook

    private var events: [LedgerEvent] = []
    private var fullDeadPlace = FullDeadPlace()

    /// - Parameters:
    ///   - joinsResults: whether the results are kept in the same file; else records in entries are left out.
    ///   - book: what this incarnation has claimed, to see after a pause what of it still stands.
    public init(
        path: String, node: String, joinsResults: Bool, resultExpiry: Int, deadLetters: DeadLetterLimits = DeadLetterLimits(),
        incarnation: Incarnation, book: ClaimBook
    ) {
        lease = NodeLease(path: path, incarnation: incarnation, name: node)
        self.joinsResults = joinsResults
        self.resultExpiry = resultExpiry
        self.deadLetters = deadLetters
        self.incarnation = incarnation
        self.book = book
    }

    public var leaseProven: MonotonicTime? { lease.proven }

    public func takeEvents() -> [LedgerEvent] {
        defer { events = [] }
        return events
    }

    // MARK: Pollable

    public var interests: [PollInterest] { lease.interests }
    public var deadline: MonotonicTime? { lease.deadline }
    public func ready(_ descriptor: Int32, _ events: PollEvents, now: MonotonicTime) { advance(now) }
    public func expired(now: MonotonicTime) { advance(now) }
    public func flush() { advance(.now) }

    private func advance(_ now: MonotonicTime) {
        lease.advance(now)
        hearLease()
    }

    private func hearLease() {
        for report in lease.takeReports() {
            switch report {
            case .beat: beat()
            case .changedElsewhere: break
            case .notice(let text): events.append(.notice(text))
            case .lost(let reason): events.append(.lost(reason))
            }
        }
    }

    // MARK: orders

    public func claim(_ claims: [Claim]) {
        // A power cut that undoes it ends this node, too.
        lease.line.write(durable: false) { [unowned self] database throws(SQLiteError) in
            let holder = try lease.register(in: database)
            let table = ClaimTable(database)
            var verdicts: [ClaimVerdict] = []
            for claim in claims { verdicts.append(try table.claim(claim, node: holder)) }
            try table.sweep(upTo: 2 * claims.count, now: .now)
            let revoked = try lease.revoked(in: database)
            return { [unowned self] in
                tell(revoked)
                events.append(.claimed(verdicts))
            }
        }
    }

    public func record(_ entries: [LedgerEntry]) {
        lease.line.write { [unowned self] database throws(SQLiteError) in
            let done = try database.each(entries) { entry throws(SQLiteError) in try carryOut(entry, in: database) }
            let writes = joinsResults ? entries.reduce(0) { $0 + $1.writes.count } : 0
            if writes > 0 { try ResultTable(database).sweep(upTo: 2 * writes, now: .now) }
            let setsAside = entries.contains { if case .setAside = $0.step { true } else { false } }
            let freesBody = setsAside ? try DeadLetterTable(database).makeRoom(deadLetters) : false
            return { [unowned self] in
                for case (let entry, .failure(let error)) in zip(entries, done) {
                    events.append(.notice("what task \(entry.taskID) wants written is refused (\(error))"))
                }
                events.append(.recorded(done.map { (try? $0.get()) ?? .void }))
                if freesBody, let text = fullDeadPlace.notice() { events.append(.notice(text)) }
            }
        }
    }

    private func carryOut(_ entry: LedgerEntry, in database: SQLiteDatabase) throws(SQLiteError) -> CommitVerdict {
        let now = WallTime.now
        let claims = ClaimTable(database)
        var entry = entry
        // Of a start record that can't be read nobody but the table knows the name.
        if entry.message == entry.mark { entry.message = try claims.name(of: entry.mark) ?? entry.message }
        guard try claims.stands(entry.message, entry.mark) else { return .void }
        if joinsResults {
            for write in entry.writes { try ResultTable(database).put(write, now: now, keptFor: resultExpiry) }
        }
        switch entry.step {
        case .keep: break
        case .start: try claims.start(entry)
        case .finish: try claims.finish(entry.message, now: now)
        case .release: try claims.release(entry.message)
        case .setAside(let reason, let deaths):
            try claims.finish(entry.message, now: now)
            let record = DeadLetterRecord(reason: reason, queue: entry.queue, taskID: entry.taskID, deaths: deaths)
            try DeadLetterTable(database).bury(record, entry.envelope)
        }
        guard let note = entry.attempt else { return .done }
        let earlier = try AttemptTable(database).note(note, of: entry.taskID, mark: entry.mark, now: now)
        return earlier.map { .begun(earlier: $0) } ?? .done
    }

    public func revoke(_ ids: [String]) { lease.revoke(ids) }

    public func close() {
        // What was inherited a moment ago stays, for whoever finds us dead.
        lease.close { holder, database throws(SQLiteError) in try ClaimTable(database).lapse(holder) }
        hearLease()
    }

    public func abandon() {
        lease.finish("abandoned")
        hearLease()
    }

    private func tell(_ revoked: NodeLease.Revoked) {
        let ids = lease.learn(revoked)
        if !ids.isEmpty { events.append(.revoked(ids)) }
    }

    // MARK: leases

    /// Counts up, and sees to those who no longer do. The first one is the proof that the ledger stands.
    private func beat() {
        lease.line.write(durable: false) { [unowned self] database throws(SQLiteError) in
            guard lease.isOpen else { return {} }
            let claims = ClaimTable(database)
            var orphaned: [ReceivedMessage] = []
            let beat = try lease.beat(in: database) { dead, holder throws(SQLiteError) in
                for record in try claims.inherit(
                    from: dead, node: holder, mark: { RedisTag.make(incarnation, incarnation.reserve(1), step: 0) })
                {
                    orphaned.append(ReceivedMessage(tag: DeliveryTag(record.mark), queue: record.queue, raw: record.raw))
                }
            }
            var gone: [String] = []
            if beat.mayHaveLost {
                for (mark, holding) in book.marks where try !claims.stands(holding.message, mark) { gone.append(mark) }
            }
            let revoked = try lease.revoked(in: database)
            return { [unowned self] in
                if !gone.isEmpty { events.append(.gone(gone)) }
                if lease.stand(beat) { events.append(.standing) }
                tell(revoked)
                if !orphaned.isEmpty { events.append(.orphaned(orphaned)) }
            }
        }
    }
}
