import CoppiceSQLite
import CoppiceShared
import CoppiceSystem

/// Queue operations on Coppice's file. Each batch is one transaction.
public final class SQLiteQueueOperations: QueueOperations {
    private static let batch = 500

    private let line: TransactionLine
    private var events: [QueueEvent] = []

    /// A missing file is not made: its name may be mistyped.
    public init(path: String) { line = TransactionLine(path: path, creates: false) }

    public var interests: [PollInterest] { line.interests }
    public var deadline: MonotonicTime? { line.deadline }
    public func ready(_ descriptor: Int32, _ events: PollEvents, now: MonotonicTime) { advance(now) }
    public func expired(now: MonotonicTime) { advance(now) }

    public func takeEvents() -> [QueueEvent] {
        defer { events = [] }
        return events
    }

    public func survey(_ names: [String]?) {
        line.read { [unowned self] database throws(SQLiteError) in
            let queues = QueueTable(database)
            var states: [QueueState] = []
            let wanted = if let names { names } else { try queues.names() }
            for name in wanted { states.append(try queues.state(of: name, now: .now)) }
            return { [unowned self] in events.append(.queues(states)) }
        }
    }

    public func purge(_ queue: String) { purge(queue, waiting: 0, parked: 0) }

    /// Batch after batch, until one is not full.
    private func purge(_ queue: String, waiting: Int, parked: Int) {
        line.write { [unowned self] database throws(SQLiteError) in
            let queues = QueueTable(database)
            let count = try queues.purgeWaiting(queue, upTo: Self.batch)
            let later = count < Self.batch ? try queues.purgeParked(queue, upTo: Self.batch) : 0
            return { [unowned self] in
                if count < Self.batch, later < Self.batch {
                    events.append(.purged(waiting: waiting + count, parked: parked + later))
                } else {
                    purge(queue, waiting: waiting + count, parked: parked + later)
                }
            }
        }
    }

    public func move(from: String, to: String, upTo count: Int) {
        line.write { [unowned self] database throws(SQLiteError) in
            let moved = try QueueTable(database).move(from: from, to: to, upTo: min(count, Self.batch))
            return { [unowned self] in events.append(.moved(moved)) }
        }
    }

    public func deadLetters(upTo count: Int) {
        line.read { [unowned self] database throws(SQLiteError) in
            let letters = try DeadLetterTable(database).newest(upTo: count)
            return { [unowned self] in events.append(.deadLetters(letters)) }
        }
    }

    public func deadLetter(_ id: String) {
        line.read { [unowned self] database throws(SQLiteError) in
            let found = try DeadLetterTable(database).find(id)
            return { [unowned self] in events.append(.deadLetter(found?.letter, message: found?.message)) }
        }
    }

    public func retryDeadLetter(_ id: String, to queue: String?) {
        line.write { [unowned self] database throws(SQLiteError) in
            let fate = try DeadLetterTable(database).retry(id, to: queue)
            return { [unowned self] in events.append(.deadLetterLeft(fate)) }
        }
    }

    public func dropDeadLetter(_ id: String) {
        line.write { [unowned self] database throws(SQLiteError) in
            let fate = try DeadLetterTable(database).drop(id)
            return { [unowned self] in events.append(.deadLetterLeft(fate)) }
        }
    }

    public func forgetAttempts(of task: String) {
        line.write { [unowned self] database throws(SQLiteError) in
            try AttemptTable(database).forget(task)
            return { [unowned self] in events.append(.attemptsForgotten) }
        }
    }

    private func advance(_ now: MonotonicTime) {
        for report in line.run(now: now) {
            switch report {
            case .open: events.append(.standing)
            case .lost(let reason): events.append(.lost(reason))
            // Nothing was changed; better to say so now than to wait.
            case .full(let reason):
                line.close()
                events.append(.lost(reason))
            case .changedElsewhere, .notice: break
            }
        }
    }
}
