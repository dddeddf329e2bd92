import CoppiceShared
import CoppiceSystem

/// One connection to Coppice's file on which transactions are carried out in the order in which they came, without ever waiting for
/// another process's lock: what is busy is tried again on a timer, what does not fit on the disk is tried again each second, and
/// nothing is dropped meanwhile. Also notices what other connections commit.
///
/// The owner is a `Pollable`; it passes `interests` and `deadline` on, and calls `run` when one of them is due.
public final class TransactionLine {
    public enum Report: Sendable {
        /// The file is open and has been read.
        case open
        /// Another connection has committed something.
        case changedElsewhere
        /// Something for the operator.
        case notice(String)
        /// There is no space; what waits is tried again each second. Once, until something could be written again.
        case full(String)
        /// The end, with the reason.
        case lost(String)
    }

    /// What one transaction does. Returns what is to be done once it stands; may run several times before it does, so it changes
    /// nothing but the database.
    public typealias Body = (SQLiteDatabase) throws(SQLiteError) -> () -> Void

    private enum Kind { case durable, relaxed, read }

    private let path: String
    private let creates: Bool
    private var database: SQLiteDatabase?
    private var isLost = false
    private var waiting: [(kind: Kind, body: Body)] = []
    /// Where in `waiting` the next one stands; what is before it is done.
    private var head = 0

    /// Whether the connection's commits wait for the disk; as opened, they do.
    private var isFlushing = true

    private var retryAt: MonotonicTime
    private var pause = TransactionLine.firstPause
    private var busySince: MonotonicTime?
    private var noticed: Set<Notice> = []

    private var watch: FileWatch?
    private var dataVersion = 0
    private var lookAt: MonotonicTime
    /// After a ring: the seconds until the next look; then ever more, up to the slow look.
    private var echo: Double?

    private enum Notice { case busy, full, noWatch }

    /// - Parameter creates: whether a missing file is made; else the line is lost.
    public init(path: String, creates: Bool = true) {
        self.path = path
        self.creates = creates
        retryAt = .now
        lookAt = .now
    }

    // MARK: what is to be done

    /// A transaction that writes. Several that wait are committed as one, so that they share one flush to the disk.
    ///
    /// - Parameter durable: false: may be undone by a power cut, and costs no flush.
    public func write(durable: Bool = true, _ body: @escaping Body) { append(durable ? .durable : .relaxed, body) }

    /// Statements that only read.
    public func read(_ body: @escaping Body) { append(.read, body) }

    private func append(_ kind: Kind, _ body: @escaping Body) {
        guard !isLost else { return }
        if head == waiting.count, database != nil { retryAt = .now }
        waiting.append((kind, body))
    }

    /// Closes the file; nothing is carried out any more.
    public func close() {
        isLost = true
        database = nil
        watch = nil
        waiting = []
        head = 0
    }

    // MARK: when

    public var interests: [PollInterest] {
        watch.map { [PollInterest(descriptor: $0.descriptor, events: .read)] } ?? []
    }

    public var deadline: MonotonicTime? {
        guard !isLost else { return nil }
        guard database != nil else { return retryAt }
        return head < waiting.count ? min(retryAt, lookAt) : lookAt
    }

    /// Does what is due: tells what has happened.
    public func run(now: MonotonicTime) -> [Report] {
        var reports: [Report] = []
        var didSomething = false
        if database == nil, !isLost {
            // The rest is due at once, but after the owner has heard of this.
            if retryAt <= now { open(now, &reports) }
            return reports
        }
        if let database, head < waiting.count, retryAt <= now {
            didSomething = true
            carryOut(database, now, &reports)
        }
        if let database, !isLost {
            let rung = watch?.drain() ?? false
            let isDue = lookAt <= now
            if isDue, database.hasMoved {
                lose(
                    "\(path) was replaced or deleted while it was in use: what stood there and is not in the file of now is lost", &reports)
                return reports
            }
            if rung || isDue {
                // Writers write first and commit then, behind a flush of the disk: what rang may not be there yet.
                echo = rung ? TransactionLine.firstEcho : echo.map { $0 * 3 }.flatMap { $0 <= TransactionLine.lastEcho ? $0 : nil }
                lookAt = now.advanced(by: echo ?? TransactionLine.lookInterval)
            }
            if rung || isDue || didSomething { lookForChanges(database, now, &reports) }
        }
        return reports
    }

    // MARK: opening

    private func open(_ now: MonotonicTime, _ reports: inout [Report]) {
        let opened: SQLiteDatabase
        do throws(StoreFileError) {
            opened = try StoreFile.open(path, creates: creates)
        } catch {
            if error.isBusy { return waitForLock(now, &reports) }
            return lose(error.description, &reports)
        }
        do throws(SQLiteError) {
            dataVersion = try opened.dataVersion()
        } catch {
            return failed(error, now, &reports)
        }
        // Looked at before the watch stands: what comes in between is found at the first look, which is now.
        do throws(SystemError) {
            watch = try FileWatch(path: StoreFile.log(of: path))
        } catch {
            notice(.noWatch, "changes of \(path) are noticed each second only (\(error))", &reports)
        }
        database = opened
        proceed(now)
        lookAt = now
        reports.append(.open)
    }

    // MARK: carrying out

    private func carryOut(_ database: SQLiteDatabase, _ now: MonotonicTime, _ reports: inout [Report]) {
        let started = MonotonicTime.now
        repeat {
            let done: [() -> Void]
            do throws(SQLiteError) {
                done = waiting[head].kind == .read ? [try waiting[head].body(database)] : try commit(database, started)
            } catch {
                if database.isInTransaction { try? database.execute("ROLLBACK") }
                if error.isRefusal, !database.isCareful {
                    // At once again, this time without what is refused.
                    database.isCareful = true
                    return
                }
                return failed(error, now, &reports)
            }
            let isWritten = waiting[head].kind != .read
            head += done.count
            if head == waiting.count || head > 1000 {
                waiting.removeFirst(head)
                head = 0
            }
            if isWritten, noticed.remove(.full) != nil {
                reports.append(.notice("\(path) can be written again: there is room on its disk"))
            }
            if isWritten { noticed.remove(.busy) }
            proceed(now)
            database.isCareful = false
            for finish in done { finish() }
        } while head < waiting.count && MonotonicTime.now.seconds(since: started) < TransactionLine.longestTurn
    }

    /// The next writers as one transaction.
    private func commit(_ database: SQLiteDatabase, _ started: MonotonicTime) throws(SQLiteError) -> [() -> Void] {
        let group = waiting[head...].prefix(TransactionLine.largestGroup).prefix { $0.kind != .read }
        let flushes = group.contains { $0.kind == .durable }
        if flushes != isFlushing {
            // Can't be changed inside a transaction. What is not flushed now is so with anybody's next flush.
            try database.execute(flushes ? "PRAGMA synchronous = FULL" : "PRAGMA synchronous = NORMAL")
            isFlushing = flushes
        }
        try database.statement("BEGIN IMMEDIATE").run()
        var done: [() -> Void] = []
        for (_, body) in group {
            done.append(try body(database))
            if MonotonicTime.now.seconds(since: started) > TransactionLine.longestTurn { break }
        }
        try database.statement("COMMIT").run()
        return done
    }

    private func proceed(_ now: MonotonicTime) {
        busySince = nil
        pause = TransactionLine.firstPause
        retryAt = now
    }

    private func failed(_ error: SQLiteError, _ now: MonotonicTime, _ reports: inout [Report]) {
        if error.isBusy { return waitForLock(now, &reports) }
        guard error.isFull else { return lose(StoreFileError(error, path: path).description, &reports) }
        if noticed.insert(.full).inserted { reports.append(.full(StoreFileError(error, path: path).description)) }
        retryAt = now.advanced(by: 1)
    }

    private func waitForLock(_ now: MonotonicTime, _ reports: inout [Report]) {
        let since = busySince ?? now
        busySince = since
        if now.seconds(since: since) >= 5 {
            notice(.busy, "\(path) has been locked by another process for five seconds; waiting for it", &reports)
        }
        // Uneven pauses, so that two that met once don't meet again and again.
        retryAt = now.advanced(by: .random(in: pause / 2...pause))
        pause = min(pause * 1.5, TransactionLine.longestPause)
    }

    private func notice(_ kind: Notice, _ text: String, _ reports: inout [Report]) {
        if noticed.insert(kind).inserted { reports.append(.notice(text)) }
    }

    private func lose(_ reason: String, _ reports: inout [Report]) {
        close()
        reports.append(.lost(reason))
    }

    // MARK: noticing

    private func lookForChanges(_ database: SQLiteDatabase, _ now: MonotonicTime, _ reports: inout [Report]) {
        do throws(SQLiteError) {
            let version = try database.dataVersion()
            guard version != dataVersion else { return }
            dataVersion = version
            reports.append(.changedElsewhere)
        } catch {
            // Busy: the next look sees it as well.
            if !error.isBusy { failed(error, now, &reports) }
        }
    }

    // In seconds. The first pause is about what a small transaction with its flush takes.
    private static let firstPause = 0.002
    private static let longestPause = 0.025
    /// The slow look that stands behind the watch.
    private static let lookInterval = 1.0
    private static let firstEcho = 0.001
    private static let lastEcho = 0.1
    private static let longestTurn = 0.01
    private static let largestGroup = 256
}
