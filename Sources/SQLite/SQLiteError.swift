import CSQLite
import Glibc

/// What SQLite refused, and why.
public struct SQLiteError: Error, Equatable, Sendable, CustomStringConvertible {
    /// SQLite's extended result code.
    public let code: Int32
    /// errno of the system call that failed, if one did.
    public let systemCode: Int32
    public let message: String

    public init(code: Int32, systemCode: Int32 = 0, message: String) {
        self.code = code
        self.systemCode = systemCode
        self.message = message
    }

    /// Of a call on this handle that returned `code`; a handle may be missing when opening failed.
    init(_ code: Int32, _ handle: OpaquePointer?) {
        self.code = code
        systemCode = handle.map { sqlite3_system_errno($0) } ?? 0
        message = String(cString: handle.map { sqlite3_errmsg($0) } ?? sqlite3_errstr(code))
    }

    /// The low byte is the primary code; the rest tells the kind.
    private var primary: Int32 { code & 0xff }

    /// Another process or connection has the lock: the same again in a moment may go through.
    public var isBusy: Bool { [SQLITE_BUSY, SQLITE_LOCKED, SQLITE_PROTOCOL].contains(primary) }
    /// No space, or the quota is used up.
    public var isFull: Bool {
        primary == SQLITE_FULL || (primary == SQLITE_IOERR && [ENOSPC, EDQUOT].contains(systemCode))
    }
    /// What was to be written is against the schema, or too large: it will be so the next time.
    public var isRefusal: Bool { [SQLITE_CONSTRAINT, SQLITE_TOOBIG, SQLITE_MISMATCH].contains(primary) }
    public var isReadOnly: Bool { primary == SQLITE_READONLY }
    public var cantOpen: Bool { [SQLITE_CANTOPEN, SQLITE_PERM, SQLITE_AUTH].contains(primary) }
    var isMissing: Bool { cantOpen && systemCode == ENOENT }
    public var isCorrupt: Bool { primary == SQLITE_CORRUPT }
    public var isNotADatabase: Bool { primary == SQLITE_NOTADB }

    public var description: String {
        // errno is the last failed system call's, which for other codes may be long past.
        let system = (cantOpen || primary == SQLITE_IOERR) && systemCode != 0
        return system ? "\(message): \(String(cString: strerror(systemCode)))" : message
    }
}
