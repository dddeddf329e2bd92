import CSQLite

/// A prepared statement. Made and kept by its database; not used after that is gone.
///
/// It is reset after every run: between two calls none holds a lock or a row.
public final class SQLiteStatement {
    /// nil once the database has been closed: every call is then an error.
    private var handle: OpaquePointer?

    init(handle: OpaquePointer) { self.handle = handle }

    deinit { finalize() }

    func finalize() {
        guard let handle else { return }
        self.handle = nil
        sqlite3_finalize(handle)
    }

    /// Runs the statement to its end.
    public func run(_ values: SQLiteValue...) throws(SQLiteError) {
        try forEachRow(values) { _ in }
    }

    /// Runs the statement and shows each row to `body`; the columns are read through the statement itself.
    public func forEachRow(_ values: SQLiteValue..., body: (SQLiteStatement) throws(SQLiteError) -> Void) throws(SQLiteError) {
        try forEachRow(values, body)
    }

    /// The first row's value, as `column` reads it; nil if there is no row.
    public func first<Value>(_ values: SQLiteValue..., column: (SQLiteStatement) -> Value?) throws(SQLiteError) -> Value? {
        try bind(values)
        defer { reset() }
        return try step() ? column(self) : nil
    }

    // MARK: columns of the current row, from 0

    public func int(_ column: Int32) -> Int { Int(sqlite3_column_int64(handle, column)) }
    public func double(_ column: Int32) -> Double { sqlite3_column_double(handle, column) }
    public func isNull(_ column: Int32) -> Bool { sqlite3_column_type(handle, column) == SQLITE_NULL }
    public func text(_ column: Int32) -> String { String(decoding: bytes(column), as: UTF8.self) }

    public func bytes(_ column: Int32) -> [UInt8] {
        // The blob is asked for before its length, as SQLite wants it; it lives until the next step or reset. Null for an empty one.
        guard let start = sqlite3_column_blob(handle, column) else { return [] }
        return Array(UnsafeRawBufferPointer(start: start, count: Int(sqlite3_column_bytes(handle, column))))
    }

    // MARK: steps

    private func forEachRow(_ values: [SQLiteValue], _ body: (SQLiteStatement) throws(SQLiteError) -> Void) throws(SQLiteError) {
        try bind(values)
        defer { reset() }
        while try step() { try body(self) }
    }

    private func step() throws(SQLiteError) -> Bool {
        switch sqlite3_step(handle) {
        case SQLITE_ROW: return true
        case SQLITE_DONE: return false
        case let code: throw error(code)
        }
    }

    private func reset() {
        // What it returns is the last step's error once more.
        sqlite3_reset(handle)
    }

    private func bind(_ values: [SQLiteValue]) throws(SQLiteError) {
        for (offset, value) in values.enumerated() {
            let index = Int32(offset + 1)
            let code =
                switch value {
                case .null: sqlite3_bind_null(handle, index)
                case .int(let value): sqlite3_bind_int64(handle, index, Int64(value))
                case .double(let value): sqlite3_bind_double(handle, index, value)
                case .text(let value): bind(value, at: index)
                // Copied by SQLite, so the buffer need not outlive the call.
                case .blob(let value):
                    value.count > Int(Int32.max)
                        ? SQLITE_TOOBIG
                        : value.withUnsafeBytes { coppice_bind_blob(handle, index, $0.baseAddress, Int32($0.count)) }
                }
            guard code == SQLITE_OK else { throw error(code) }
        }
    }

    private func bind(_ text: String, at index: Int32) -> Int32 {
        var text = text
        return text.withUTF8 { utf8 in
            guard utf8.count <= Int(Int32.max) else { return SQLITE_TOOBIG }
            guard let start = utf8.baseAddress else { return coppice_bind_text(handle, index, "", 0) }
            // UInt8 and CChar are laid out alike; copied by SQLite within the call.
            return start.withMemoryRebound(to: CChar.self, capacity: utf8.count) {
                coppice_bind_text(handle, index, $0, Int32(utf8.count))
            }
        }
    }

    private func error(_ code: Int32) -> SQLiteError { SQLiteError(code, handle.map { sqlite3_db_handle($0) } ?? nil) }
}
