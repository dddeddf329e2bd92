import CoppiceSQLite
import CoppiceShared

/// The messages and their places in Coppice's file. Every call is made inside a transaction.
struct MessageTable {
    private let database: SQLiteDatabase

    init(_ database: SQLiteDatabase) { self.database = database }

    /// A message in a node's hands.
    struct Held {
        var node: Int
        var sequence: Int
        var message: Int
        var isStarted: Bool
    }

    /// A message as it is handed out.
    struct Taken {
        var sequence: Int
        var queue: String
        var raw: [UInt8]
    }

    /// kombu's steps, in the order in which they are taken.
    private static let steps = [0, 3, 6, 9]

    /// kombu's step for a priority: the largest that is not above it.
    private static func step(of priority: Int) -> Int { steps.last { $0 <= priority } ?? 0 }

    /// What is parked is handed out so many seconds early: the last bit is waited for by who has it.
    static let releaseLead = 1.0

    private static func releasable(_ now: WallTime) -> SQLiteValue { .int(Int(now.advanced(by: releaseLead).microseconds)) }

    // MARK: sending

    /// On SQLite there are no exchanges: the routing key is the queue.
    func publish(_ publication: TaskPublication) throws(SQLiteError) {
        let raw = Envelope.write(publication, deliveryTag: Incarnation.randomUUID())
        try enqueue(raw, in: publication.routingKey, priority: publication.priority)
    }

    /// An envelope to the end of a queue.
    func enqueue(_ raw: [UInt8], in queue: String, priority: Int) throws(SQLiteError) {
        try database.statement("INSERT INTO message (queue, step, raw) VALUES (?, ?, ?)")
            .run(.text(queue), .int(MessageTable.step(of: priority)), .blob(raw))
        try append(database.lastInsertedRow)
    }

    /// To the end of its queue.
    private func append(_ message: Int) throws(SQLiteError) {
        try database.statement(
            """
            INSERT INTO waiting (queue, step, place, message)
            SELECT queue, step, (SELECT coalesce(max(place), 0) + 1 FROM waiting AS w WHERE w.queue = m.queue AND w.step = m.step), id
            FROM message AS m WHERE id = ?
            """
        ).run(.int(message))
    }

    /// To the front of its queue.
    private func prepend(_ message: Int) throws(SQLiteError) {
        try database.statement(
            """
            INSERT INTO waiting (queue, step, place, message)
            SELECT queue, step, (SELECT coalesce(min(place), 0) - 1 FROM waiting AS w WHERE w.queue = m.queue AND w.step = m.step), id
            FROM message AS m WHERE id = ?
            """
        ).run(.int(message))
    }

    // MARK: taking

    /// Whether there is anything to be taken from this queue.
    func hasWaiting(in queue: String, now: WallTime) throws(SQLiteError) -> Bool {
        let waiting = try database.statement("SELECT 1 FROM waiting WHERE queue = ? LIMIT 1").first(.text(queue)) { $0.int(0) }
        if waiting != nil { return true }
        return try database.statement("SELECT 1 FROM parked WHERE queue = ? AND due <= ? LIMIT 1")
            .first(.text(queue), MessageTable.releasable(now)) { $0.int(0) } != nil
    }

    /// When the next parked message that can't be taken yet is due.
    func nextDue(in queue: String, now: WallTime) throws(SQLiteError) -> WallTime? {
        try database.statement("SELECT due FROM parked WHERE queue = ? AND due > ? ORDER BY due LIMIT 1")
            .first(.text(queue), MessageTable.releasable(now)) { WallTime(microseconds: Int64($0.int(0))) }
    }

    /// Takes what is due, then what waits: step by step, within a step one queue after the other. Ends early at `TakeLimit.bytes`.
    ///
    /// - Parameter queues: the first is asked first.
    func take(upTo count: Int, from queues: [String], node: Int, firstSequence: Int, now: WallTime) throws(SQLiteError) -> [Taken] {
        var taken: [Taken] = []
        var bytes = 0
        func hasRoom() -> Bool { taken.count < count && bytes < TakeLimit.bytes }
        func hold(_ message: Int, _ queue: String) throws(SQLiteError) {
            let sequence = firstSequence + taken.count
            try database.statement("INSERT INTO held (node, sequence, message) VALUES (?, ?, ?)")
                .run(.int(node), .int(sequence), .int(message))
            let raw = try raw(message)
            taken.append(Taken(sequence: sequence, queue: queue, raw: raw))
            bytes += raw.count
        }
        try interleaved(queues, while: hasRoom) { queue throws(SQLiteError) in
            var found: [(due: Int, message: Int)] = []
            try database.statement("SELECT due, message FROM parked WHERE queue = ? AND due <= ? ORDER BY due LIMIT ?")
                .forEachRow(.text(queue), MessageTable.releasable(now), .int(count)) { found.append(($0.int(0), $0.int(1))) }
            return found
        } use: { queue, found throws(SQLiteError) in
            try database.statement("DELETE FROM parked WHERE queue = ? AND due = ? AND message = ?")
                .run(.text(queue), .int(found.due), .int(found.message))
            try hold(found.message, queue)
        }
        for step in MessageTable.steps where hasRoom() {
            try interleaved(queues, while: hasRoom) { queue throws(SQLiteError) in
                var found: [(place: Int, message: Int)] = []
                try database.statement("SELECT place, message FROM waiting WHERE queue = ? AND step = ? ORDER BY place LIMIT ?")
                    .forEachRow(.text(queue), .int(step), .int(count - taken.count)) { found.append(($0.int(0), $0.int(1))) }
                return found
            } use: { queue, found throws(SQLiteError) in
                try database.statement("DELETE FROM waiting WHERE queue = ? AND step = ? AND place = ?")
                    .run(.text(queue), .int(step), .int(found.place))
                try hold(found.message, queue)
            }
        }
        return taken
    }

    /// Uses one of each queue's candidates after the other, in rounds.
    private func interleaved<Candidate>(
        _ queues: [String], while hasRoom: () -> Bool, candidates: (String) throws(SQLiteError) -> [Candidate],
        use: (String, Candidate) throws(SQLiteError) -> Void
    ) throws(SQLiteError) {
        var lanes: [(queue: String, candidates: ArraySlice<Candidate>)] = []
        for queue in queues { lanes.append((queue, try candidates(queue)[...])) }
        while hasRoom(), lanes.contains(where: { !$0.candidates.isEmpty }) {
            for index in lanes.indices where hasRoom() {
                guard let next = lanes[index].candidates.popFirst() else { continue }
                try use(lanes[index].queue, next)
            }
        }
    }

    // MARK: what is held

    func held(node: Int, sequence: Int) throws(SQLiteError) -> Held? {
        try database.statement("SELECT message, started FROM held WHERE node = ? AND sequence = ?")
            .first(.int(node), .int(sequence)) { Held(node: node, sequence: sequence, message: $0.int(0), isStarted: $0.int(1) != 0) }
    }

    /// A node's messages, the last taken first: put back to the front one by one, they stand as they stood.
    func held(node: Int, upTo count: Int) throws(SQLiteError) -> [Held] {
        var rows: [Held] = []
        try database.statement("SELECT sequence, message, started FROM held WHERE node = ? ORDER BY sequence DESC LIMIT ?")
            .forEachRow(.int(node), .int(count)) {
                rows.append(Held(node: node, sequence: $0.int(0), message: $0.int(1), isStarted: $0.int(2) != 0))
            }
        return rows
    }

    func markStarted(_ held: Held) throws(SQLiteError) {
        try database.statement("UPDATE held SET started = 1 WHERE node = ? AND sequence = ?").run(.int(held.node), .int(held.sequence))
    }

    /// The end of the message.
    func conclude(_ held: Held) throws(SQLiteError) {
        try release(held)
        try database.statement("DELETE FROM message WHERE id = ?").run(.int(held.message))
    }

    func putBack(_ held: Held, front: Bool) throws(SQLiteError) {
        try release(held)
        if front { try prepend(held.message) } else { try append(held.message) }
    }

    func park(_ held: Held, until: WallTime) throws(SQLiteError) {
        try release(held)
        try database.statement("INSERT INTO parked (queue, due, message) SELECT queue, ?, id FROM message WHERE id = ?")
            .run(.int(Int(until.microseconds)), .int(held.message))
    }

    /// To the dead-letter place; `makeRoom` comes after the last one of a transaction.
    func setAside(_ held: Held, _ record: DeadLetterRecord) throws(SQLiteError) {
        let raw = try raw(held.message)
        try conclude(held)
        try DeadLetterTable(database).bury(record, raw)
    }

    /// Another node's start record becomes this node's. nil: there is no message; the record is gone then.
    func adopt(_ held: Held, node: Int, sequence: Int) throws(SQLiteError) -> Taken? {
        try database.statement("UPDATE held SET node = ?, sequence = ? WHERE node = ? AND sequence = ?")
            .run(.int(node), .int(sequence), .int(held.node), .int(held.sequence))
        let taken = try database.statement("SELECT queue, raw FROM message WHERE id = ?")
            .first(.int(held.message)) { Taken(sequence: sequence, queue: $0.text(0), raw: $0.bytes(1)) }
        if taken == nil { try release(Held(node: node, sequence: sequence, message: held.message, isStarted: true)) }
        return taken
    }

    private func release(_ held: Held) throws(SQLiteError) {
        try database.statement("DELETE FROM held WHERE node = ? AND sequence = ?").run(.int(held.node), .int(held.sequence))
    }

    private func raw(_ message: Int) throws(SQLiteError) -> [UInt8] {
        try database.statement("SELECT raw FROM message WHERE id = ?").first(.int(message)) { $0.bytes(0) } ?? []
    }
}
