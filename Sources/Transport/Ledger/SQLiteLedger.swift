import CoppiceSQLite
import CoppiceShared
import CoppiceSystem

/// The ledger in Coppice's file, for the masters of one machine.
public final class SQLiteLedger: Ledger {
    private let line: TransactionLine
    private let node: String
    private let resultExpiry: Int
    private let joinsResults: Bool
    private let deadLetters: DeadLetterLimits
    private let incarnation: Incarnation
    private let book: ClaimBook

    private var events: [LedgerEvent] = []
    private var phase = Phase.opening
    private var leases = LeaseObserver()
    private var beatAt = MonotonicTime.distantFuture
    private var lastRevocation = 0
    private var fullDeadPlace = FullDeadPlace()
    public private(set) var leaseProven: MonotonicTime?

    private enum Phase: Equatable { case opening, standing, closing(MonotonicTime), lost }

    /// - Parameters:
    ///   - joinsResults: whether the results are kept in the same file; else records in entries are left out.
    ///   - book: what this incarnation has claimed, to see after a pause what of it still stands.
    public init(
        path: String, node: String, joinsResults: Bool, resultExpiry: Int, deadLetters: DeadLetterLimits = DeadLetterLimits(),
        incarnation: Incarnation, book: ClaimBook
    ) {
        line = TransactionLine(path: path)
        self.node = node
        self.joinsResults = joinsResults
        self.resultExpiry = resultExpiry
        self.deadLetters = deadLetters
        self.incarnation = incarnation
        self.book = book
    }

    public func takeEvents() -> [LedgerEvent] {
        defer { events = [] }
        return events
    }

    // MARK: Pollable

    public var interests: [PollInterest] { line.interests }

    public var deadline: MonotonicTime? {
        switch phase {
        case .lost: nil
        case .opening: line.deadline
        case .standing: [line.deadline, beatAt].compactMap { $0 }.min()
        case .closing(let end): min(end, line.deadline ?? end)
        }
    }

    public func ready(_ descriptor: Int32, _ events: PollEvents, now: MonotonicTime) { advance(now) }
    public func expired(now: MonotonicTime) { advance(now) }
    public func flush() { advance(.now) }

    private func advance(_ now: MonotonicTime) {
        if case .closing(let end) = phase, end <= now { return finish("closed, but \(node) could not be signed off") }
        if phase == .standing, beatAt <= now {
            beatAt = .distantFuture
            beat()
        }
        for report in line.run(now: now) {
            switch report {
            case .open: beat()
            case .changedElsewhere: break
            case .notice(let text): events.append(.notice(text))
            case .full(let reason): events.append(.notice("\(reason); tried again each second"))
            case .lost(let reason): finish(reason)
            }
        }
    }

    private func finish(_ reason: String) {
        guard phase != .lost else { return }
        phase = .lost
        line.close()
        events.append(.lost(reason))
    }

    // MARK: orders

    public func claim(_ claims: [Claim]) {
        // A power cut that undoes it ends this node, too.
        line.write(durable: false) { [unowned self] database throws(SQLiteError) in
            let holder = try NodeTable(database).register(incarnation.id, name: node)
            let table = ClaimTable(database)
            var verdicts: [ClaimVerdict] = []
            for claim in claims { verdicts.append(try table.claim(claim, node: holder)) }
            try table.sweep(now: .now)
            let revoked = try RevocationRows(database).since(lastRevocation)
            return { [unowned self] in
                report(revoked)
                events.append(.claimed(verdicts))
            }
        }
    }

    public func record(_ entries: [LedgerEntry]) {
        line.write { [unowned self] database throws(SQLiteError) in
            let now = WallTime.now
            let claims = ClaimTable(database)
            let attempts = AttemptTable(database)
            var verdicts: [CommitVerdict] = []
            var writes = 0
            var freesBody = false
            for entry in entries {
                guard try claims.stands(entry.message, entry.mark) else {
                    verdicts.append(.void)
                    continue
                }
                if joinsResults {
                    for write in entry.writes { try ResultTable(database).put(write, now: now, keptFor: resultExpiry) }
                    writes += entry.writes.count
                }
                switch entry.step {
                case .keep: break
                case .start: try claims.start(entry)
                case .finish: try claims.finish(entry.message, now: now)
                case .release: try claims.release(entry.message)
                case .setAside(let reason, let deaths):
                    try claims.finish(entry.message, now: now)
                    let record = DeadLetterRecord(reason: reason, queue: entry.queue, taskID: entry.taskID, deaths: deaths)
                    if try MessageTable(database).bury(record, entry.envelope, limits: deadLetters) { freesBody = true }
                }
                let earlier = try entry.attempt.flatMap { note throws(SQLiteError) in
                    try attempts.note(note, of: entry.taskID, now: now)
                }
                verdicts.append(earlier.map { .begun(earlier: $0) } ?? .done)
            }
            if writes > 0 { try ResultTable(database).sweep(upTo: 2 * writes, now: now) }
            return { [unowned self] in
                events.append(.recorded(verdicts))
                if freesBody, let text = fullDeadPlace.notice() { events.append(.notice(text)) }
            }
        }
    }

    public func revoke(_ ids: [String]) {
        guard phase == .standing, !ids.isEmpty else { return }
        line.write { database throws(SQLiteError) in
            try RevocationRows(database).store(ids, now: .now)
            return {}
        }
    }

    public func close() {
        if case .closing = phase { return }
        guard phase == .standing else { return finish("closed") }
        phase = .closing(MonotonicTime.now.advanced(by: 1))
        line.write { [unowned self] database throws(SQLiteError) in
            if let holder = try NodeTable(database).find(incarnation.id) { try NodeTable(database).remove(holder) }
            return { [unowned self] in finish("closed") }
        }
    }

    public func abandon() { finish("abandoned") }

    private func report(_ revoked: (ids: [String], newest: Int)) {
        lastRevocation = max(lastRevocation, revoked.newest)
        if !revoked.ids.isEmpty { events.append(.revoked(revoked.ids)) }
    }

    // MARK: leases

    /// Counts up, and sees to those who no longer do. The first one is the proof that the ledger stands.
    private func beat() {
        line.write(durable: false) { [unowned self] database throws(SQLiteError) in
            let now = MonotonicTime.now
            let nodes = NodeTable(database)
            let claims = ClaimTable(database)
            let wasBuried = try nodes.find(incarnation.id) == nil
            let holder = try nodes.register(incarnation.id, name: node)
            try nodes.count(holder)
            var gone: [String] = []
            // What an earlier session was not told any more, this one is.
            if wasBuried || phase == .opening {
                for (mark, holding) in book.marks where try !claims.stands(holding.message, mark) { gone.append(mark) }
            }
            var leases = leases
            var orphaned: [ReceivedMessage] = []
            for death in leases.look(try nodes.counters(besides: incarnation.id), asked: now, answered: now) {
                guard let dead = try nodes.find(death.incarnation) else { continue }
                for record in try claims.inherit(
                    from: dead, node: holder, mark: { RedisTag.make(incarnation, incarnation.reserve(1), step: 0) })
                {
                    orphaned.append(ReceivedMessage(tag: DeliveryTag(record.mark), queue: record.queue, raw: record.raw))
                }
                // Its messages of the embedded broker, if it had any, are that broker's to put back.
                if try MessageTable(database).held(node: dead, upTo: 1).isEmpty { try nodes.remove(dead) }
            }
            try AttemptTable(database).sweep(now: .now)
            let revoked = try RevocationRows(database).since(lastRevocation)
            return { [unowned self] in
                self.leases = leases
                leaseProven = now
                beatAt = now.advanced(by: SQLiteLedger.beatInterval)
                if !gone.isEmpty { events.append(.gone(gone)) }
                if phase == .opening {
                    phase = .standing
                    events.append(.standing)
                }
                report(revoked)
                if !orphaned.isEmpty { events.append(.orphaned(orphaned)) }
            }
        }
    }

    /// Seconds between two signs of life.
    private static let beatInterval = 1.0
}
