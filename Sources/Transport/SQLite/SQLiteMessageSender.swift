import CoppiceSQLite
import CoppiceShared
import CoppiceSystem

/// Sends through Coppice's file. `.sent` means that the message has been flushed to the disk.
public final class SQLiteMessageSender: MessageSender {
    private let line: TransactionLine
    private var events: [SenderEvent] = []

    /// - Parameter creates: whether a missing file is made.
    public init(path: String, creates: Bool = true) { line = TransactionLine(path: path, creates: creates) }

    public var interests: [PollInterest] { line.interests }
    public var deadline: MonotonicTime? { line.deadline }
    public func ready(_ descriptor: Int32, _ events: PollEvents, now: MonotonicTime) { advance(now) }
    public func expired(now: MonotonicTime) { advance(now) }

    public func takeEvents() -> [SenderEvent] {
        defer { events = [] }
        return events
    }

    public func publish(_ publication: TaskPublication) {
        line.write { [unowned self] database throws(SQLiteError) in
            try MessageTable(database).publish(publication)
            return { [unowned self] in events.append(.sent) }
        }
    }

    public func revoke(_ ids: [String]) {
        line.write { [unowned self] database throws(SQLiteError) in
            try RevocationRows(database).store(ids, now: .now)
            return { [unowned self] in events.append(.sent) }
        }
    }

    public func broadcast(_ request: [UInt8]) {
        line.write { [unowned self] database throws(SQLiteError) in
            try ControlTable(database).sweep(now: .now)
            try ControlTable(database).send(request, now: .now)
            return { [unowned self] in events.append(.sent) }
        }
    }

    private func advance(_ now: MonotonicTime) {
        for report in line.run(now: now) {
            switch report {
            case .open: events.append(.standing)
            case .lost(let reason): events.append(.lost(reason))
            // Nothing was written; better to say so now than to wait.
            case .full(let reason):
                line.close()
                events.append(.lost(reason))
            // Whoever sends has its own patience, and no log.
            case .changedElsewhere, .notice: break
            }
        }
    }
}
