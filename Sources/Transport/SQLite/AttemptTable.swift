import CoppiceSQLite
import CoppiceShared

/// The attempts at tasks that may run again after a death, in Coppice's file. Every call is made inside a transaction.
///
/// Two messages may have one task id. The stories tell them apart by their marks, each the tag under which a message was held.
struct AttemptTable {
    private let database: SQLiteDatabase

    init(_ database: SQLiteDatabase) { self.database = database }

    private struct Row {
        var number: Int
        /// nil for what can't be read.
        var story: AttemptStory?
    }

    /// Writes a note down; for an attempt that begins, returns the earlier ones.
    ///
    /// - Parameter mark: under which the message is held, and its attempt written.
    func note(_ note: AttemptNote, of task: String, mark: String, now: WallTime) throws(SQLiteError) -> [AttemptStory]? {
        let rows = try rows(of: task)
        let own = rows.first { $0.story?.mark == mark }
        switch note {
        case .begins(let story):
            // Written by an earlier try whose answer was lost: the same attempt.
            if own == nil {
                try database.statement("INSERT INTO attempt (task, number, at, story) VALUES (?, ?, ?, ?)")
                    .run(.text(task), .int((rows.last?.number ?? 0) + 1), .int(Int(now.microseconds)), .blob(story.encoded))
            }
            return try others(of: rows, mark).compactMap(\.story)
        case .died(let story):
            guard let own else { break }
            try database.statement("UPDATE attempt SET story = ? WHERE task = ? AND number = ?")
                .run(.blob(story.encoded), .text(task), .int(own.number))
        case .withdrawn: if let own { try remove(own, of: task) }
        case .over:
            if let own { try remove(own, of: task) }
            for row in try others(of: rows, mark) { try remove(row, of: task) }
        }
        return nil
    }

    /// Forgets what is over: what somebody alive tries is another message's.
    func forget(_ task: String) throws(SQLiteError) {
        for row in try others(of: rows(of: task), "") { try remove(row, of: task) }
    }

    private func rows(of task: String) throws(SQLiteError) -> [Row] {
        var rows: [Row] = []
        try database.statement("SELECT number, story FROM attempt WHERE task = ? ORDER BY number").forEachRow(.text(task)) {
            rows.append(Row(number: $0.int(0), story: AttemptStory($0.bytes(1))))
        }
        return rows
    }

    /// Other attempts that are over, one way or another. One without an end whose message somebody alive still has is another
    /// message's.
    private func others(of rows: [Row], _ mark: String) throws(SQLiteError) -> [Row] {
        var others: [Row] = []
        for row in rows where row.story?.mark != mark {
            if let story = row.story, story.end == nil, try isHeld(story.mark) { continue }
            others.append(row)
        }
        return others
    }

    /// Whether a message is held under this mark, with the embedded broker or by a claim, by a node that counts as alive.
    private func isHeld(_ mark: String) throws(SQLiteError) -> Bool {
        let parts = mark.split(separator: ":")
        guard parts.count > 1, let sequence = Int(parts[1]), let node = try NodeTable(database).find(String(parts[0])) else {
            return false
        }
        if try MessageTable(database).held(node: node, sequence: sequence) != nil { return true }
        return try ClaimTable(database).holds(mark, node: node)
    }

    private func remove(_ row: Row, of task: String) throws(SQLiteError) {
        try database.statement("DELETE FROM attempt WHERE task = ? AND number = ?").run(.text(task), .int(row.number))
    }

    /// Removes what nobody will ask for any more, a piece at a time.
    func sweep(now: WallTime) throws(SQLiteError) {
        let oldest = now.advanced(by: -Double(AttemptNote.lifetime))
        try database.statement(
            "DELETE FROM attempt WHERE (task, number) IN (SELECT task, number FROM attempt WHERE at < ? ORDER BY at LIMIT 500)"
        ).run(.int(Int(oldest.microseconds)))
    }
}
