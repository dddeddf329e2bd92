import CoppiceSQLite
import CoppiceShared
import CoppiceSystem

/// Asks through Coppice's file: a row for the request, and rows with its ticket for the answers.
public final class SQLiteControlCaller: ControlCaller {
    private let line: TransactionLine
    private var events: [CallerEvent] = []
    private var ticket: String?
    /// The last answer that was read.
    private var lastAnswer = 0
    private var isLookQueued = false

    /// A missing file is not made: there is nobody to be asked.
    public init(path: String) { line = TransactionLine(path: path, creates: false) }

    public var interests: [PollInterest] { line.interests }
    public var deadline: MonotonicTime? { line.deadline }
    public func ready(_ descriptor: Int32, _ events: PollEvents, now: MonotonicTime) { advance(now) }
    public func expired(now: MonotonicTime) { advance(now) }

    public func takeEvents() -> [CallerEvent] {
        defer { events = [] }
        return events
    }

    public func call(_ request: JSONObject) {
        let ticket = Incarnation.randomUUID()
        self.ticket = ticket
        lastAnswer = 0
        var request = request
        request.append("ticket", .string(ticket))
        request.append("reply_to", ["exchange": "reply.celery.pidbox", "routing_key": .string(ticket)])
        let body = JSONValue.object(request).bytes
        line.write(durable: false) { [unowned self] database throws(SQLiteError) in
            let control = ControlTable(database)
            try control.sweep(now: .now)
            try control.send(body, now: .now)
            // Those that have died and whose row nobody has taken away count, too: it is a bound.
            let nodes = try database.statement("SELECT count(*) FROM node").first { $0.int(0) } ?? 0
            return { [unowned self] in events.append(.asked(nodes: nodes)) }
        }
    }

    public func close() {
        line.close()
        events.append(.lost("closed"))
    }

    private func advance(_ now: MonotonicTime) {
        for report in line.run(now: now) {
            switch report {
            case .open: events.append(.standing)
            case .changedElsewhere: look()
            case .lost(let reason): events.append(.lost(reason))
            case .full(let reason):
                line.close()
                events.append(.lost(reason))
            case .notice: break
            }
        }
    }

    private func look() {
        guard !isLookQueued, let ticket else { return }
        isLookQueued = true
        line.read { [unowned self] database throws(SQLiteError) in
            var answers: [(number: Int, body: [UInt8])] = []
            try database.statement("SELECT id, body FROM reply WHERE ticket = ? AND id > ? ORDER BY id")
                .forEachRow(.text(ticket), .int(lastAnswer)) { answers.append(($0.int(0), $0.bytes(1))) }
            return { [unowned self] in
                isLookQueued = false
                lastAnswer = answers.last?.number ?? lastAnswer
                for answer in answers { events.append(.answer(answer.body)) }
            }
        }
    }
}
