import CoppiceSQLite
import CoppiceShared

/// Who has which message of a broker that keeps no book, in Coppice's file. Every call is made inside a transaction.
struct ClaimTable {
    private let database: SQLiteDatabase

    init(_ database: SQLiteDatabase) { self.database = database }

    /// - Parameter node: this incarnation's number.
    func claim(_ claim: Claim, node: Int) throws(SQLiteError) -> ClaimVerdict {
        let now = try database.statement("SELECT node, mark, finished IS NOT NULL FROM claim WHERE message = ?")
            .first(.text(claim.message)) { (owner: $0.isNull(0) ? nil : $0.int(0), mark: $0.text(1), isFinished: $0.int(2) != 0) }
        if let now {
            if claim.mayBeKnown, now.isFinished { return .finished }
            if claim.mayBeKnown, now.owner == node { return .resumed(mark: now.mark) }
            if let owner = now.owner, try isAlive(owner) {
                if claim.mayBeKnown { return .taken }
                try enter(claim.double, claim.mark, node)
                return .double
            }
        }
        try enter(claim.message, claim.mark, node)
        return .ours
    }

    private func isAlive(_ node: Int) throws(SQLiteError) -> Bool {
        try database.statement("SELECT 1 FROM node WHERE id = ?").first(.int(node)) { $0.int(0) } != nil
    }

    private func enter(_ message: String, _ mark: String, _ node: Int) throws(SQLiteError) {
        try database.statement("INSERT OR REPLACE INTO claim (message, node, mark) VALUES (?, ?, ?)")
            .run(.text(message), .int(node), .text(mark))
    }

    /// Whether a message is held under this mark.
    func stands(_ message: String, _ mark: String) throws(SQLiteError) -> Bool {
        try database.statement("SELECT 1 FROM claim WHERE message = ? AND mark = ? AND finished IS NULL")
            .first(.text(message), .text(mark)) { $0.int(0) } != nil
    }

    /// Whether this node has something under this mark.
    func holds(_ mark: String, node: Int) throws(SQLiteError) -> Bool {
        try database.statement("SELECT 1 FROM claim WHERE node = ? AND mark = ?").first(.int(node), .text(mark)) { $0.int(0) } != nil
    }

    /// The name of the message that is held under this mark.
    func name(of mark: String) throws(SQLiteError) -> String? {
        try database.statement("SELECT message FROM claim WHERE mark = ? AND finished IS NULL").first(.text(mark)) { $0.text(0) }
    }

    /// What is left of the message once it has been acknowledged.
    func start(_ entry: LedgerEntry) throws(SQLiteError) {
        try database.statement("UPDATE claim SET queue = ?, raw = ? WHERE message = ?")
            .run(.text(entry.queue), .blob(entry.envelope), .text(entry.message))
    }

    func finish(_ message: String, now: WallTime) throws(SQLiteError) {
        let until = now.advanced(by: Double(ClaimLifetime.finished))
        try database.statement("UPDATE claim SET node = NULL, raw = NULL, finished = ? WHERE message = ?")
            .run(.int(Int(until.microseconds)), .text(message))
    }

    func release(_ message: String) throws(SQLiteError) {
        try database.statement("DELETE FROM claim WHERE message = ?").run(.text(message))
    }

    /// A dead node's start records become this node's under new marks; its other claims lapse, since the broker delivers again.
    func inherit(from dead: Int, node: Int, mark: () -> String) throws(SQLiteError) -> [(mark: String, queue: String, raw: [UInt8])] {
        var found: [(message: String, queue: String, raw: [UInt8])] = []
        try database.statement("SELECT message, queue, raw FROM claim WHERE node = ? AND raw IS NOT NULL").forEachRow(.int(dead)) {
            found.append(($0.text(0), $0.text(1), $0.bytes(2)))
        }
        var inherited: [(mark: String, queue: String, raw: [UInt8])] = []
        for row in found {
            let mark = mark()
            try database.statement("UPDATE claim SET node = ?, mark = ? WHERE message = ?")
                .run(.int(node), .text(mark), .text(row.message))
            inherited.append((mark, row.queue, row.raw))
        }
        try lapse(dead)
        return inherited
    }

    /// What a node has claimed and not started is given up: the broker delivers it to others.
    func lapse(_ node: Int) throws(SQLiteError) {
        try database.statement("DELETE FROM claim WHERE node = ? AND raw IS NULL").run(.int(node))
    }

    /// Removes what was finished long ago. Called with every batch of claims, for more than these will add: no sweep is long.
    func sweep(upTo count: Int, now: WallTime) throws(SQLiteError) {
        try database.statement(
            "DELETE FROM claim WHERE message IN (SELECT message FROM claim WHERE finished < ? ORDER BY finished LIMIT ?)"
        )
        .run(.int(Int(now.microseconds)), .int(count))
    }
}
