import CoppiceSQLite
import CoppiceShared

/// Revoked ids in Coppice's file. Every call is made inside a transaction.
struct RevocationRows {
    private let database: SQLiteDatabase

    init(_ database: SQLiteDatabase) { self.database = database }

    func store(_ ids: [String], now: WallTime) throws(SQLiteError) {
        // An id that is revoked again gets a new mark, and so is kept as long as one that is revoked now.
        let renewed = Int(now.advanced(by: -Double(Revocations.renewal)).microseconds)
        for id in ids {
            try database.statement("DELETE FROM revoked WHERE task = ? AND at < ?").run(.text(id), .int(renewed))
            try database.statement("INSERT OR IGNORE INTO revoked (task, at) VALUES (?, ?)").run(.text(id), .int(Int(now.microseconds)))
        }
        let newest = try newestMark()
        try database.statement("DELETE FROM revoked WHERE mark <= ? OR at < ?")
            .run(.int(newest - Revocations.limit), .int(Int(now.advanced(by: -Double(Revocations.lifetime)).microseconds)))
    }

    /// What has been revoked after a mark, with the newest mark.
    func since(_ mark: Int) throws(SQLiteError) -> (ids: [String], newest: Int) {
        var ids: [String] = []
        var newest = mark
        try database.statement("SELECT task, mark FROM revoked WHERE mark > ? ORDER BY mark").forEachRow(.int(mark)) {
            ids.append($0.text(0))
            newest = $0.int(1)
        }
        return (ids, newest)
    }

    private func newestMark() throws(SQLiteError) -> Int {
        try database.statement("SELECT max(mark) FROM revoked").first { $0.int(0) } ?? 0
    }
}
