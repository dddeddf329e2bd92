import CoppiceSQLite
import CoppiceShared
import CoppiceSystem

/// Results in Coppice's file, beside the messages.
///
/// A watcher sees a record as it stands when it looks, which is after every commit of anybody: of several changes at once, the last.
public final class SQLiteResultStore: ResultStore {
    private let line: TransactionLine
    private let expiry: Int
    private var events: [ResultEvent] = []
    /// The revision that was last seen, by task.
    private var watched: [String: Int] = [:]
    private var isLookQueued = false

    /// - Parameters:
    ///   - expiry: how long records are kept, in seconds.
    ///   - creates: whether a missing file is made.
    public init(path: String, expiry: Int = ResultExpiry.standard, creates: Bool = true) {
        line = TransactionLine(path: path, creates: creates)
        self.expiry = expiry
    }

    public var interests: [PollInterest] { line.interests }
    public var deadline: MonotonicTime? { line.deadline }
    public func ready(_ descriptor: Int32, _ events: PollEvents, now: MonotonicTime) { advance(now) }
    public func expired(now: MonotonicTime) { advance(now) }

    public func takeEvents() -> [ResultEvent] {
        defer { events = [] }
        return events
    }

    public func store(_ writes: [ResultWrite], as batch: UInt64) {
        line.write { [unowned self] database throws(SQLiteError) in
            let results = ResultTable(database)
            for write in writes { try results.put(write, now: .now, keptFor: expiry) }
            try results.sweep(upTo: 2 * writes.count + 8, now: .now)
            return { [unowned self] in
                events.append(.stored(batch: batch))
                // The file tells us only of what others write.
                look()
            }
        }
    }

    public func fetch(_ taskID: String) {
        line.read { [unowned self] database throws(SQLiteError) in
            let found = try ResultTable(database).get(taskID, now: .now)
            return { [unowned self] in events.append(.record(taskID: taskID, text: found?.text)) }
        }
    }

    public func watch(_ taskID: String) {
        line.read { [unowned self] database throws(SQLiteError) in
            let revision = try ResultTable(database).revision(of: taskID, now: .now)
            return { [unowned self] in watched[taskID] = revision }
        }
    }

    private func advance(_ now: MonotonicTime) {
        for report in line.run(now: now) {
            switch report {
            case .open: events.append(.standing)
            case .changedElsewhere: look()
            case .notice(let text): events.append(.notice(text))
            case .full(let reason): events.append(.notice("\(reason); tried again each second"))
            case .lost(let reason): events.append(.lost(reason))
            }
        }
    }

    /// Looks after what is watched; at most one such look waits.
    private func look() {
        guard !isLookQueued, !watched.isEmpty else { return }
        isLookQueued = true
        line.read { [unowned self] database throws(SQLiteError) in
            let results = ResultTable(database)
            var changed: [(task: String, text: [UInt8], revision: Int)] = []
            for (task, seen) in watched where try results.revision(of: task, now: .now) != seen {
                if let found = try results.get(task, now: .now) { changed.append((task, found.text, found.revision)) }
            }
            return { [unowned self] in
                isLookQueued = false
                for change in changed {
                    watched[change.task] = change.revision
                    events.append(.record(taskID: change.task, text: change.text))
                }
            }
        }
    }
}
