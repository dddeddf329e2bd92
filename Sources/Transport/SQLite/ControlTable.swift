import CoppiceSQLite
import CoppiceShared

/// Control requests to all nodes and the answers, in Coppice's file. Both are gone after a minute. Every call but `requests` is made
/// inside a transaction.
struct ControlTable {
    private let database: SQLiteDatabase

    init(_ database: SQLiteDatabase) { self.database = database }

    private static let lifetime = 60.0

    func send(_ request: [UInt8], now: WallTime) throws(SQLiteError) {
        try database.statement("INSERT INTO control (created, body) VALUES (?, ?)").run(.int(Int(now.microseconds)), .blob(request))
    }

    func answer(_ reply: ControlReply, now: WallTime) throws(SQLiteError) {
        try database.statement("INSERT INTO reply (created, ticket, body) VALUES (?, ?, ?)")
            .run(.int(Int(now.microseconds)), .text(reply.ticket), .blob(reply.body))
    }

    /// The last request's number, whether it is still there or not.
    func lastNumber() throws(SQLiteError) -> Int {
        try database.statement("SELECT seq FROM sqlite_sequence WHERE name = 'control'").first { $0.int(0) } ?? 0
    }

    func requests(after number: Int) throws(SQLiteError) -> [(number: Int, body: [UInt8])] {
        var requests: [(Int, [UInt8])] = []
        try database.statement("SELECT id, body FROM control WHERE id > ? ORDER BY id").forEachRow(.int(number)) {
            requests.append(($0.int(0), $0.bytes(1)))
        }
        return requests
    }

    func sweep(now: WallTime) throws(SQLiteError) {
        let oldest = SQLiteValue.int(Int(now.advanced(by: -ControlTable.lifetime).microseconds))
        try database.statement("DELETE FROM control WHERE created < ?").run(oldest)
        try database.statement("DELETE FROM reply WHERE created < ?").run(oldest)
    }
}
