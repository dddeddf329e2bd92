import CoppiceSQLite

/// Who is alive, as Coppice's file has it: one row for each life of a master, with a counter that it counts up. Every call is made
/// inside a transaction.
struct NodeTable {
    private let database: SQLiteDatabase

    init(_ database: SQLiteDatabase) { self.database = database }

    /// The number under which this incarnation holds messages; nil if it was never here, or was taken for dead.
    func find(_ incarnation: String) throws(SQLiteError) -> Int? {
        try database.statement("SELECT id FROM node WHERE incarnation = ?").first(.text(incarnation)) { $0.int(0) }
    }

    /// The same; a new number if there is none.
    func register(_ incarnation: String, name: String) throws(SQLiteError) -> Int {
        if let id = try find(incarnation) { return id }
        try database.statement("INSERT INTO node (incarnation, name, counter) VALUES (?, ?, 0)").run(.text(incarnation), .text(name))
        return database.lastInsertedRow
    }

    func count(_ node: Int) throws(SQLiteError) {
        try database.statement("UPDATE node SET counter = counter + 1 WHERE id = ?").run(.int(node))
    }

    /// Everybody's counter but this one's, by incarnation.
    func counters(besides incarnation: String) throws(SQLiteError) -> [String: String] {
        var counters: [String: String] = [:]
        try database.statement("SELECT incarnation, counter FROM node WHERE incarnation <> ?")
            .forEachRow(.text(incarnation)) { counters[$0.text(0)] = $0.text(1) }
        return counters
    }

    /// Takes a row away, unless something is held under its number: a message of the embedded broker, or a claim of another one. What
    /// one kind of master does not see to is left to be found by the other.
    func removeIfFree(_ node: Int) throws(SQLiteError) {
        try database.statement(
            """
            DELETE FROM node WHERE id = ?1
            AND NOT EXISTS (SELECT 1 FROM held WHERE node = ?1) AND NOT EXISTS (SELECT 1 FROM claim WHERE node = ?1)
            """
        ).run(.int(node))
    }
}
