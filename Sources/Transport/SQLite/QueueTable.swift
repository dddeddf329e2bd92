import CoppiceSQLite
import CoppiceShared

/// What an operator does to the queues of Coppice's file. Every call that changes something is made inside a transaction.
struct QueueTable {
    private let database: SQLiteDatabase

    init(_ database: SQLiteDatabase) { self.database = database }

    /// A message that is longer is not looked into for its age.
    private static let longestNext = 1 << 16

    /// Every queue that has a message.
    func names() throws(SQLiteError) -> [String] {
        var names: [String] = []
        try database.statement("SELECT DISTINCT queue FROM message ORDER BY queue").forEachRow { names.append($0.text(0)) }
        return names
    }

    func state(of queue: String, now: WallTime) throws(SQLiteError) -> QueueState {
        let name = SQLiteValue.text(queue)
        func count(_ sql: String) throws(SQLiteError) -> Int { try database.statement(sql).first(name) { $0.int(0) } ?? 0 }
        let next = try database.statement(
            """
            SELECT raw FROM waiting JOIN message ON message.id = waiting.message
            WHERE waiting.queue = ? AND length(raw) <= ? ORDER BY waiting.step, place LIMIT 1
            """
        ).first(name, .int(QueueTable.longestNext)) { $0.bytes(0) }
        return QueueState(
            name: queue, waiting: try count("SELECT count(*) FROM waiting WHERE queue = ?"),
            // What was acknowledged at its start is held, too, as a start record.
            unacknowledged: try count(
                "SELECT count(*) FROM held JOIN message ON message.id = held.message WHERE queue = ? AND started = 0"),
            parked: try count("SELECT count(*) FROM parked WHERE queue = ?"),
            oldest: next.flatMap { MessageAge.seconds(of: $0, now: now) })
    }

    /// Removes up to `count` messages of one kind; returns how many there were.
    func purgeWaiting(_ queue: String, upTo count: Int) throws(SQLiteError) -> Int {
        let rows = try waiting(queue, upTo: count)
        for row in rows {
            try remove(row, queue)
            try database.statement("DELETE FROM message WHERE id = ?").run(.int(row.message))
        }
        return rows.count
    }

    func purgeParked(_ queue: String, upTo count: Int) throws(SQLiteError) -> Int {
        let rows = try parked(queue, upTo: count)
        for row in rows {
            try database.statement("DELETE FROM parked WHERE queue = ? AND due = ? AND message = ?")
                .run(.text(queue), .int(row.due), .int(row.message))
            try database.statement("DELETE FROM message WHERE id = ?").run(.int(row.message))
        }
        return rows.count
    }

    /// Moves up to `count` waiting messages to the end of another queue, or, if there are none, parked ones; returns how many.
    func move(from: String, to: String, upTo count: Int) throws(SQLiteError) -> Int {
        let rows = try waiting(from, upTo: count)
        for row in rows {
            try remove(row, from)
            try rename(row.message, to)
            try database.statement(
                """
                INSERT INTO waiting (queue, step, place, message)
                SELECT ?1, ?2, coalesce(max(place), 0) + 1, ?3 FROM waiting WHERE queue = ?1 AND step = ?2
                """
            ).run(.text(to), .int(row.step), .int(row.message))
        }
        guard rows.isEmpty else { return rows.count }
        let due = try parked(from, upTo: count)
        for row in due {
            try database.statement("UPDATE parked SET queue = ? WHERE queue = ? AND due = ? AND message = ?")
                .run(.text(to), .text(from), .int(row.due), .int(row.message))
            try rename(row.message, to)
        }
        return due.count
    }

    private func waiting(_ queue: String, upTo count: Int) throws(SQLiteError) -> [(step: Int, place: Int, message: Int)] {
        var rows: [(Int, Int, Int)] = []
        try database.statement("SELECT step, place, message FROM waiting WHERE queue = ? ORDER BY step, place LIMIT ?")
            .forEachRow(.text(queue), .int(count)) { rows.append(($0.int(0), $0.int(1), $0.int(2))) }
        return rows
    }

    private func parked(_ queue: String, upTo count: Int) throws(SQLiteError) -> [(due: Int, message: Int)] {
        var rows: [(Int, Int)] = []
        try database.statement("SELECT due, message FROM parked WHERE queue = ? ORDER BY due LIMIT ?")
            .forEachRow(.text(queue), .int(count)) { rows.append(($0.int(0), $0.int(1))) }
        return rows
    }

    private func remove(_ row: (step: Int, place: Int, message: Int), _ queue: String) throws(SQLiteError) {
        try database.statement("DELETE FROM waiting WHERE queue = ? AND step = ? AND place = ?")
            .run(.text(queue), .int(row.step), .int(row.place))
    }

    private func rename(_ message: Int, _ queue: String) throws(SQLiteError) {
        try database.statement("UPDATE message SET queue = ? WHERE id = ?").run(.text(queue), .int(message))
    }
}
