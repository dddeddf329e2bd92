import CoppiceSQLite
import CoppiceShared

/// The dead-letter place in Coppice's file. Every call that changes something is made inside a transaction.
struct DeadLetterTable {
    private let database: SQLiteDatabase

    init(_ database: SQLiteDatabase) { self.database = database }

    // MARK: coming

    /// `makeRoom` comes after the last one of a transaction.
    func bury(_ record: DeadLetterRecord, _ raw: [UInt8]) throws(SQLiteError) {
        let stories = record.deaths.isEmpty ? nil : JSONValue.array(record.deaths.map(\.value)).text
        try database.statement(
            """
            INSERT INTO dead (id, queue, task, reason, died, deaths, body)
            SELECT 1 + max((SELECT coalesce(max(id), 0) FROM dead), (\(DeadLetterTable.lastLeft))), ?, ?, ?, ?, ?, ?
            """
        ).run(
            .text(record.queue), .text(record.taskID.isEmpty ? nil : record.taskID), .text(record.reason),
            .int(Int(record.at.microseconds)), .text(stories), .blob(raw))
    }

    /// Holds the place to its bounds. Returns whether a body had to go.
    func makeRoom(_ limits: DeadLetterLimits) throws(SQLiteError) -> Bool {
        let newest = try database.statement("SELECT max(id) FROM dead").first { $0.int(0) } ?? 0
        // Ids are given in order, so that the newest so many are above this bound.
        try database.statement("DELETE FROM dead WHERE id <= ?").run(.int(newest - limits.records))
        return try freeOldBodies(above: limits.bytes)
    }

    /// Takes the oldest bodies away while all together are larger than this. Returns whether there was one. A body's length is known
    /// without reading it.
    private func freeOldBodies(above bytes: Int) throws(SQLiteError) -> Bool {
        var size = try database.statement("SELECT total(length(body)) FROM dead WHERE body IS NOT NULL").first { $0.int(0) } ?? 0
        let isFull = size > bytes
        while size > bytes {
            let oldest = try database.statement("SELECT id, length(body) FROM dead WHERE body IS NOT NULL ORDER BY id LIMIT 1")
                .first { ($0.int(0), $0.int(1)) }
            guard let (id, length) = oldest else { break }
            try database.statement("UPDATE dead SET body = NULL WHERE id = ?").run(.int(id))
            size -= length
        }
        return isFull
    }

    // MARK: looking

    private static let columns = "id, reason, queue, died, task, body IS NOT NULL, deaths"

    func newest(upTo count: Int) throws(SQLiteError) -> [DeadLetter] {
        var letters: [DeadLetter] = []
        try database.statement("SELECT \(DeadLetterTable.columns) FROM dead ORDER BY id DESC LIMIT ?")
            .forEachRow(.int(count)) { letters.append(DeadLetterTable.letter($0)) }
        return letters
    }

    func find(_ id: String) throws(SQLiteError) -> (letter: DeadLetter, message: [UInt8]?)? {
        guard let number = Int(id) else { return nil }
        return try database.statement("SELECT \(DeadLetterTable.columns), body FROM dead WHERE id = ?")
            .first(.int(number)) { (DeadLetterTable.letter($0), $0.isNull(7) ? nil : $0.bytes(7)) }
    }

    private static func letter(_ row: SQLiteStatement) -> DeadLetter {
        var letter = DeadLetter(
            id: String(row.int(0)), reason: row.text(1), queue: row.text(2), at: WallTime(microseconds: Int64(row.int(3))),
            taskID: row.isNull(4) ? nil : row.text(4), hasMessage: row.int(5) != 0)
        if !row.isNull(6), let deaths = try? JSONValue(parsing: row.bytes(6)) { letter.further.append("deaths", deaths) }
        return letter
    }

    // MARK: leaving

    /// As `QueueOperations.retryDeadLetter`.
    func retry(_ id: String, to queue: String?) throws(SQLiteError) -> DeadLetterFate {
        guard let (letter, message) = try find(id) else { return .noRecord }
        guard let message else { return .noMessage }
        try MessageTable(database).enqueue(message, in: queue ?? letter.queue, priority: DeadLetter.priority(of: message))
        if let task = letter.taskID { try AttemptTable(database).forget(task) }
        return try drop(id)
    }

    func drop(_ id: String) throws(SQLiteError) -> DeadLetterFate {
        guard let number = Int(id) else { return .noRecord }
        let removed = try database.statement("DELETE FROM dead WHERE id = ? RETURNING id").first(.int(number)) { $0.int(0) }
        guard removed != nil else { return .noRecord }
        try database.statement("DELETE FROM sqlite_sequence WHERE name = 'dead' AND seq < ?").run(.int(number))
        try database.statement(
            "INSERT INTO sqlite_sequence (name, seq) SELECT 'dead', ? WHERE NOT EXISTS (SELECT 1 FROM sqlite_sequence WHERE name = 'dead')"
        ).run(.int(number))
        return .done
    }

    /// The highest number that has left: it is not given again, so that an operator's list never names another message. It stands where
    /// SQLite keeps such numbers of tables that were made with AUTOINCREMENT, which this one was not.
    private static let lastLeft = "SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'dead'"
}
