import CoppiceShared

/// The results' table: written by commits and by the result store alike.
public struct ResultTable {
    private let database: SQLiteDatabase

    public init(_ database: SQLiteDatabase) { self.database = database }

    /// Stores a record, inside a transaction. A stored SUCCESS gives way to nothing but a SUCCESS, until it has expired.
    ///
    /// Watchers see what is stored, so what is only to be announced, since the next write replaces it, is left out.
    public func put(_ write: ResultWrite, now: WallTime, keptFor seconds: Int) throws(SQLiteError) {
        guard write.reach == .storeAndAnnounce else { return }
        try database.statement(
            """
            INSERT INTO result (task, state, record, revision, expires) VALUES (?1, ?2, ?3, ?5, ?4)
            ON CONFLICT (task) DO UPDATE SET
                state = excluded.state, record = excluded.record, revision = revision + 1, expires = excluded.expires
            WHERE state <> 'SUCCESS' OR excluded.state = 'SUCCESS' OR expires <= ?5
            """
        ).run(
            .text(write.taskID), .text(write.state.name), .blob(write.record),
            .int(Int(now.advanced(by: Double(seconds)).microseconds)), .int(Int(now.microseconds)))
    }

    /// A record and its revision.
    public func get(_ taskID: String, now: WallTime) throws(SQLiteError) -> (text: [UInt8], revision: Int)? {
        try database.statement("SELECT record, revision FROM result WHERE task = ? AND expires > ?")
            .first(.text(taskID), .int(Int(now.microseconds))) { ($0.bytes(0), $0.int(1)) }
    }

    /// A number that changes with the record; 0 if there is none.
    public func revision(of taskID: String, now: WallTime) throws(SQLiteError) -> Int {
        try database.statement("SELECT revision FROM result WHERE task = ? AND expires > ?")
            .first(.text(taskID), .int(Int(now.microseconds))) { $0.int(0) } ?? 0
    }

    /// Removes expired records, inside a transaction. Called with every batch of writes, for more than these have added, and now
    /// and then without: so the table is as large as its live records, and no sweep is long.
    public func sweep(upTo count: Int, now: WallTime) throws(SQLiteError) {
        try database.statement("DELETE FROM result WHERE id IN (SELECT id FROM result WHERE expires <= ? ORDER BY expires LIMIT ?)")
            .run(.int(Int(now.microseconds)), .int(count))
    }
}
