import CoppiceSQLite
import CoppiceShared
import CoppiceSystem

/// A master's place in Coppice's file, from its opening to its end: its line of transactions, and its lease, a row with a counter that
/// it counts up each second. The embedded broker's session and the ledger have one each.
///
/// The owner passes `interests`, `deadline` and `advance` on, and looks at `takeReports` afterwards. To a `.beat` it answers with a
/// transaction that calls `beat`, and `stand` once that is committed.
final class NodeLease {
    enum Report {
        /// Time to count up. The first one, once it is committed, is the proof that the file can be used.
        case beat
        /// Another connection has committed something.
        case changedElsewhere
        case notice(String)
        /// The end, with the reason.
        case lost(String)
    }

    /// What a beat has found.
    struct Beat {
        /// The number under which we hold what we hold.
        var holder: Int
        /// We may have been taken for dead since the last one, or an earlier session was not told: what we hold may be others' now.
        var mayHaveLost: Bool
        fileprivate var at: MonotonicTime
        fileprivate var observer: LeaseObserver
    }

    /// What has been revoked, and the newest's mark.
    typealias Revoked = (ids: [String], newest: Int)

    private enum Phase: Equatable {
        case opening
        case standing
        /// Ends at the given time, done or not.
        case closing(MonotonicTime)
        case lost
    }

    let line: TransactionLine
    private let incarnation: Incarnation
    private let name: String
    private var phase = Phase.opening
    private var reports: [Report] = []
    private var beatAt = MonotonicTime.distantFuture
    private var observer = LeaseObserver()
    /// Our number at the last beat. Who finds another one was taken for dead: numbers are never given again.
    private var known: Int?
    /// As `BrokerSession.leaseProven`.
    private(set) var proven: MonotonicTime?
    /// The mark of the newest revocation that was reported.
    private var lastRevocation = 0

    /// - Parameter name: by which people know this node.
    init(path: String, incarnation: Incarnation, name: String) {
        line = TransactionLine(path: path)
        self.incarnation = incarnation
        self.name = name
    }

    // MARK: when

    var interests: [PollInterest] { line.interests }

    var deadline: MonotonicTime? {
        switch phase {
        case .lost: nil
        case .opening: line.deadline
        case .standing: min(beatAt, line.deadline ?? beatAt)
        case .closing(let end): min(end, line.deadline ?? end)
        }
    }

    func advance(_ now: MonotonicTime) {
        if case .closing(let end) = phase, end <= now {
            return finish("closed, but \(name) could not be signed off: others wait until it counts as dead")
        }
        if phase == .standing, beatAt <= now {
            beatAt = .distantFuture
            reports.append(.beat)
        }
        for report in line.run(now: now) {
            switch report {
            case .open: reports.append(.beat)
            case .changedElsewhere: reports.append(.changedElsewhere)
            case .notice(let text): reports.append(.notice(text))
            case .full(let reason): reports.append(.notice("\(reason); tried again each second"))
            case .lost(let reason): finish(reason)
            }
        }
    }

    func takeReports() -> [Report] {
        defer { reports = [] }
        return reports
    }

    // MARK: from the first beat to the end

    var isStanding: Bool { phase == .standing }

    /// Neither closing nor over. What a beat would take over from others after that, nobody would see to.
    var isOpen: Bool { phase == .opening || phase == .standing }

    /// Gives the lease up: what `release` leaves under our number is left to be found by others.
    func close(_ release: @escaping (_ holder: Int, SQLiteDatabase) throws(SQLiteError) -> Void) {
        if case .closing = phase { return }
        guard isStanding else { return finish("closed") }
        phase = .closing(MonotonicTime.now.advanced(by: NodeLease.closingPatience))
        line.write { [unowned self] database throws(SQLiteError) in
            let nodes = NodeTable(database)
            if let holder = try nodes.find(incarnation.id) {
                try release(holder, database)
                try nodes.removeIfFree(holder)
            }
            return { [unowned self] in finish("closed") }
        }
    }

    /// Drops the connection and keeps the lease.
    func finish(_ reason: String) {
        guard phase != .lost else { return }
        phase = .lost
        line.close()
        reports.append(.lost(reason))
    }

    // MARK: inside a transaction

    /// Our number; a new one if there is none.
    func register(in database: SQLiteDatabase) throws(SQLiteError) -> Int {
        try NodeTable(database).register(incarnation.id, name: name)
    }

    /// Our number; nil: we were taken for dead.
    func holder(in database: SQLiteDatabase) throws(SQLiteError) -> Int? { try NodeTable(database).find(incarnation.id) }

    /// Counts up, and sees to those who no longer do.
    ///
    /// - Parameter bury: puts back or takes over what a dead node had.
    func beat(
        in database: SQLiteDatabase, bury: (_ dead: Int, _ holder: Int) throws(SQLiteError) -> Void
    ) throws(SQLiteError) -> Beat {
        let now = MonotonicTime.now
        let nodes = NodeTable(database)
        let holder = try register(in: database)
        try nodes.count(holder)
        var observer = observer
        // Asked and answered in a transaction that writes: a lock that kept the others from counting up has kept us from looking.
        // And none of them can count up while we act on it.
        for death in observer.look(try nodes.counters(besides: incarnation.id), asked: now, answered: now) {
            guard let dead = try nodes.find(death.incarnation) else { continue }
            try bury(dead, holder)
            try nodes.removeIfFree(dead)
        }
        try AttemptTable(database).sweep(now: .now)
        // An order that was in the line before this beat may have registered us anew: only the number tells.
        return Beat(holder: holder, mayHaveLost: holder != known, at: now, observer: observer)
    }

    func revoked(in database: SQLiteDatabase) throws(SQLiteError) -> Revoked { try RevocationRows(database).since(lastRevocation) }

    // MARK: once it is committed

    /// Returns whether it was the first.
    func stand(_ beat: Beat) -> Bool {
        observer = beat.observer
        known = beat.holder
        proven = beat.at
        beatAt = beat.at.advanced(by: NodeLease.beatInterval)
        guard phase == .opening else { return false }
        phase = .standing
        return true
    }

    /// The ids to be told.
    func learn(_ revoked: Revoked) -> [String] {
        lastRevocation = max(lastRevocation, revoked.newest)
        return revoked.ids
    }

    // MARK: orders

    func revoke(_ ids: [String]) {
        guard isStanding, !ids.isEmpty else { return }
        line.write { database throws(SQLiteError) in
            try RevocationRows(database).store(ids, now: .now)
            return {}
        }
    }

    /// Seconds between two signs of life.
    private static let beatInterval = 1.0
    /// Seconds that an end in order may take.
    private static let closingPatience = 1.0
}
