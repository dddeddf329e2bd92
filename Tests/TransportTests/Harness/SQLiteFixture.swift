import CoppiceResults
import CoppiceSQLite
import CoppiceShared
import CoppiceTransport

/// The embedded broker in a file of the test's own.
final class SQLiteFixture: BrokerFixture {
    private let folder: TemporaryFolder
    let path: String

    init() throws {
        folder = try TemporaryFolder()
        path = folder.file("coppice.db")
    }

    func makeSession(
        _ queues: [QueueDeclaration], node: String, incarnation: Incarnation, holding: [DeliveryTag], joinsResults: Bool,
        deadLetters: DeadLetterLimits
    ) -> any BrokerSession {
        SQLiteBrokerSession(
            path: path, queues: queues, node: node, incarnation: incarnation, holding: holding, joinsResults: joinsResults,
            resultExpiry: 3600, deadLetters: deadLetters)
    }

    func makeSender() -> any MessageSender { SQLiteMessageSender(path: path) }

    func makeStore() -> any ResultStore { SQLiteResultStore(path: path, expiry: 3600) }

    func makeDeadLetterPlace() -> any QueueOperations { SQLiteQueueOperations(path: path) }

    func deadLetters() throws -> [DeadLetter] {
        var letters: [DeadLetter] = []
        let database = try StoreFile.open(path)
        try database.statement("SELECT reason, queue, task, body FROM dead ORDER BY id").forEachRow {
            letters.append(
                DeadLetter(
                    reason: $0.text(0), queue: $0.text(1), taskID: $0.isNull(2) ? nil : $0.text(2), body: $0.isNull(3) ? nil : $0.bytes(3)))
        }
        return letters
    }

    func plant(_ raw: [UInt8], in queue: String) throws {
        let database = try StoreFile.open(path)
        try database.execute("BEGIN IMMEDIATE")
        try database.statement("INSERT INTO message (queue, step, raw) VALUES (?, 0, ?)").run(.text(queue), .blob(raw))
        let message = database.lastInsertedRow
        try database.statement(
            "INSERT INTO waiting SELECT ?1, 0, coalesce(max(place), 0) + 1, ?2 FROM waiting WHERE queue = ?1 AND step = 0"
        ).run(.text(queue), .int(message))
        try database.execute("COMMIT")
    }

    func execute(_ sql: String) throws { try StoreFile.open(path).execute(sql) }

    /// How many rows a table has.
    func count(_ table: String) throws -> Int {
        let database = try StoreFile.open(path)
        return try database.statement("SELECT count(*) FROM \(table)").first { $0.int(0) } ?? 0
    }
}
