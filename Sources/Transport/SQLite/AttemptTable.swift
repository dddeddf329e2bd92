import CoppiceSQLite
import CoppiceShared

/// The attempts at tasks that may run again after a death, in Coppice's file. Every call is made inside a transaction.
struct AttemptTable {
    private let database: SQLiteDatabase

    init(_ database: SQLiteDatabase) { self.database = database }

    /// Writes a note down; for an attempt that begins, returns the earlier ones.
    func note(_ note: AttemptNote, of task: String, now: WallTime) throws(SQLiteError) -> [AttemptStory]? {
        switch note {
        case .begins(let story):
            let earlier = try stories(of: task)
            try database.statement("INSERT INTO attempt (task, number, at, story) VALUES (?, ?, ?, ?)")
                .run(.text(task), .int(earlier.count + 1), .int(Int(now.microseconds)), .blob(story.encoded))
            return earlier
        case .died(let story):
            try database.statement(
                "UPDATE attempt SET story = ?2 WHERE task = ?1 AND number = (SELECT max(number) FROM attempt WHERE task = ?1)"
            ).run(.text(task), .blob(story.encoded))
        case .withdrawn:
            try database.statement("DELETE FROM attempt WHERE task = ?1 AND number = (SELECT max(number) FROM attempt WHERE task = ?1)")
                .run(.text(task))
        case .over: try database.statement("DELETE FROM attempt WHERE task = ?").run(.text(task))
        }
        return nil
    }

    private func stories(of task: String) throws(SQLiteError) -> [AttemptStory] {
        var stories: [AttemptStory] = []
        try database.statement("SELECT story FROM attempt WHERE task = ? ORDER BY number").forEachRow(.text(task)) {
            if let story = AttemptStory($0.bytes(0)) { stories.append(story) }
        }
        return stories
    }

    /// Removes what nobody will ask for any more.
    func sweep(now: WallTime) throws(SQLiteError) {
        let oldest = now.advanced(by: -Double(AttemptNote.lifetime))
        try database.statement("DELETE FROM attempt WHERE at < ?").run(.int(Int(oldest.microseconds)))
    }
}
