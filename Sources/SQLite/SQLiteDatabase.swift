import CSQLite

/// One connection to a database file. Never waits for a lock: what another connection holds is an error that `isBusy`.
public final class SQLiteDatabase {
    public let path: String
    private let handle: OpaquePointer
    /// Registered at the first opening.
    private static let registration = coppice_register_vfs()
    private var statements: [String: SQLiteStatement] = [:]

    /// Opens the file for reading and writing. What is in it is not looked at before the first statement.
    ///
    /// - Parameter creates: whether a missing one is made; else that is an error.
    public init(path: String, creates: Bool = true) throws(SQLiteError) {
        guard !path.utf8.contains(0) else { throw SQLiteError(code: SQLITE_CANTOPEN, message: "a path can't hold a zero byte") }
        guard SQLiteDatabase.registration == SQLITE_OK else { throw SQLiteError(SQLiteDatabase.registration, nil) }
        var handle: OpaquePointer?
        // Used by one thread at a time, as every object of this package is: no mutexes.
        let flags = SQLITE_OPEN_READWRITE | (creates ? SQLITE_OPEN_CREATE : 0) | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE
        let code = sqlite3_open_v2(path, &handle, flags, COPPICE_VFS)
        guard code == SQLITE_OK, let handle else {
            let failure = SQLiteError(code, handle)
            sqlite3_close_v2(handle)
            throw failure
        }
        self.path = path
        self.handle = handle
        sqlite3_busy_timeout(handle, 0)
    }

    deinit {
        for statement in statements.values { statement.finalize() }
        sqlite3_close_v2(handle)
    }

    /// The statement for this text, prepared at its first use and kept.
    public func statement(_ sql: String) throws(SQLiteError) -> SQLiteStatement {
        if let statement = statements[sql] { return statement }
        var prepared: OpaquePointer?
        let code = sqlite3_prepare_v3(handle, sql, -1, UInt32(SQLITE_PREPARE_PERSISTENT), &prepared, nil)
        guard code == SQLITE_OK, let prepared else { throw SQLiteError(code, handle) }
        let statement = SQLiteStatement(handle: prepared)
        statements[sql] = statement
        return statement
    }

    /// Runs statements that are not worth keeping.
    public func execute(_ sql: String) throws(SQLiteError) {
        let code = sqlite3_exec(handle, sql, nil, nil, nil)
        guard code == SQLITE_OK else { throw SQLiteError(code, handle) }
    }

    /// Whether `each` lets one item be refused without the others: set for the second try of a transaction that was refused.
    var isCareful = false

    /// Does `body` for each item, inside a transaction of a line. Of an item that the database refuses to write nothing is written, and
    /// its error stands in its place.
    public func each<Item, Value>(
        _ items: [Item], _ body: (Item) throws(SQLiteError) -> Value
    ) throws(SQLiteError) -> [Result<Value, SQLiteError>] {
        var done: [Result<Value, SQLiteError>] = []
        for item in items {
            guard isCareful else {
                done.append(.success(try body(item)))
                continue
            }
            do throws(SQLiteError) {
                done.append(.success(try undoing { () throws(SQLiteError) in try body(item) }))
            } catch {
                guard error.isRefusal else { throw error }
                done.append(.failure(error))
            }
        }
        return done
    }

    /// What `body` has written is undone if it throws; the transaction goes on.
    private func undoing<Value>(_ body: () throws(SQLiteError) -> Value) throws(SQLiteError) -> Value {
        try statement("SAVEPOINT step").run()
        do throws(SQLiteError) {
            let value = try body()
            try statement("RELEASE step").run()
            return value
        } catch {
            if isInTransaction {
                try statement("ROLLBACK TO step").run()
                try statement("RELEASE step").run()
            }
            throw error
        }
    }

    /// Rows that the last INSERT, UPDATE or DELETE has changed.
    public var changes: Int { Int(sqlite3_changes64(handle)) }
    public var lastInsertedRow: Int { Int(sqlite3_last_insert_rowid(handle)) }
    /// Its path leads to another file, or to none: who opens it now does not meet this connection.
    public var hasMoved: Bool {
        var moved: Int32 = 0
        // The operation writes one int.
        return sqlite3_file_control(handle, "main", SQLITE_FCNTL_HAS_MOVED, &moved) == SQLITE_OK && moved != 0
    }

    /// The operating system let it be opened for reading only.
    public var isReadOnly: Bool { sqlite3_db_readonly(handle, "main") == 1 }
    /// Some errors end a transaction by themselves.
    public var isInTransaction: Bool { sqlite3_get_autocommit(handle) == 0 }

    /// A number that changes when another connection, of this process or another, has committed.
    public func dataVersion() throws(SQLiteError) -> Int {
        try statement("PRAGMA data_version").first { $0.int(0) } ?? 0
    }
}
