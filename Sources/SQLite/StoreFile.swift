import CSQLite
import CoppiceSystem
import Glibc

/// Coppice's file: what it is made of, and how it is opened. Messages and results share it, so that a commit can write both; that
/// is why its schema stands here, below Transport and Results, which don't know each other.
///
/// Every message is one row of `message`, which never changes, and one row in exactly one of the places `waiting`, `parked` and
/// `held`: moving it never copies its body.
public enum StoreFile {
    /// "Copp": marks the file as ours.
    static let applicationID = 0x436F_7070
    /// The format's number, counted up with every change that older programs can't live with.
    static let version = 2

    /// Opens the file, and makes what is missing in it. May be busy: call again then.
    ///
    /// Write-ahead logging, so that readers and the one writer don't stop each other; `synchronous=FULL`, so that what has been
    /// committed survives a power cut.
    ///
    /// - Parameter creates: whether a missing file is made; else that is an error, and an empty one counts as missing.
    public static func open(_ path: String, creates: Bool = true) throws(StoreFileError) -> SQLiteDatabase {
        if creates, !path.utf8.contains(0) { createPrivately(path) }
        let opened: (database: SQLiteDatabase, version: Int)?
        do throws(SQLiteError) {
            opened = try prepare(path, creates: creates)
        } catch {
            if !creates, error.isMissing { throw .missing(path: path) }
            throw StoreFileError(error, path: path)
        }
        guard let opened else { throw .missing(path: path) }
        guard opened.version <= version else { throw .newer(path: path, version: opened.version, known: version) }
        return opened.database
    }

    /// The file that grows with every commit of every process: what to watch.
    public static func log(of path: String) -> String { path + "-wal" }

    /// nil for an empty file that is not to be filled.
    private static func prepare(_ path: String, creates: Bool) throws(SQLiteError) -> (SQLiteDatabase, version: Int)? {
        let database = try SQLiteDatabase(path: path, creates: creates)
        guard !database.isReadOnly else { throw SQLiteError(code: SQLITE_READONLY, message: "the file is write-protected") }
        try database.execute("PRAGMA trusted_schema = OFF; PRAGMA temp_store = MEMORY")
        var identity = try identify(database)
        if identity.isEmpty {
            guard creates else { return nil }
            try useWriteAheadLog(database)
            identity = try create(in: database)
        }
        guard identity.applicationID == applicationID else {
            throw SQLiteError(code: SQLITE_NOTADB, message: "it belongs to another program")
        }
        // A newer file stays as it is.
        guard identity.version <= version else { return (database, identity.version) }
        if identity.version < version { identity = try upgrade(database) }
        try useWriteAheadLog(database)
        // The log is carried over into the file after so many pages (8 MB), and cut back if it has grown beyond 16 MB.
        try database.execute(
            """
            PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 2000; PRAGMA journal_size_limit = 16777216; PRAGMA cache_size = -8192
            """)
        return (database, identity.version)
    }

    /// Messages and results are nobody else's business. SQLite gives its other files the modes of this one.
    ///
    /// Only a file that is not there is touched: to close a descriptor of one that is open would drop this process's locks on it.
    private static func createPrivately(_ path: String) {
        _ = try? Descriptor.open(path, flags: O_CREAT | O_EXCL | O_RDWR, mode: 0o600)
    }

    private static func useWriteAheadLog(_ database: SQLiteDatabase) throws(SQLiteError) {
        let mode = try database.statement("PRAGMA journal_mode = WAL").first { $0.text(0) }
        guard mode == "wal" else {
            throw SQLiteError(code: SQLITE_CANTOPEN, message: "its file system can't share memory between processes")
        }
    }

    /// In one transaction: somebody else may be about to make the file, and half of what was before and half of what is now would be
    /// another program's. Where it fails the connection is given up.
    private static func identify(_ database: SQLiteDatabase) throws(SQLiteError) -> Identity {
        try database.execute("BEGIN")
        let identity = try Identity(database)
        try database.execute("COMMIT")
        return identity
    }

    /// Makes the tables, unless somebody else did meanwhile.
    private static func create(in database: SQLiteDatabase) throws(SQLiteError) -> Identity {
        try database.execute("BEGIN IMMEDIATE")
        do throws(SQLiteError) {
            if try Identity(database).isEmpty {
                try database.execute(schema)
                try database.execute(additions)
                try database.execute("PRAGMA application_id = \(applicationID); PRAGMA user_version = \(version)")
            }
            try database.execute("COMMIT")
        } catch {
            if database.isInTransaction { try? database.execute("ROLLBACK") }
            throw error
        }
        return try Identity(database)
    }

    /// Brings a file of version 1 up to date, unless somebody else did meanwhile.
    private static func upgrade(_ database: SQLiteDatabase) throws(SQLiteError) -> Identity {
        try database.execute("BEGIN IMMEDIATE")
        do throws(SQLiteError) {
            let identity = try Identity(database)
            if identity.version < version {
                guard try !hasAdditions(database) else {
                    throw SQLiteError(
                        code: SQLITE_ERROR,
                        message: """
                            its header says format \(identity.version), and its tables are of format \(version): if nothing but the number \
                            was changed, `sqlite3 \(database.path) 'PRAGMA user_version = \(version)'` sets it right; else take a copy
                            """)
                }
                try database.execute(additions)
                try database.execute("PRAGMA user_version = \(version)")
            }
            try database.execute("COMMIT")
        } catch {
            if database.isInTransaction { try? database.execute("ROLLBACK") }
            throw error
        }
        return try Identity(database)
    }

    /// Whether the tables are those of version 2 already.
    private static func hasAdditions(_ database: SQLiteDatabase) throws(SQLiteError) -> Bool {
        let found = try database.statement("SELECT 1 FROM pragma_table_info('dead') WHERE name = 'deaths'").first { $0.int(0) }
        return found != nil
    }

    /// What the file's header and catalogue say.
    private struct Identity {
        var applicationID: Int
        var version: Int
        var isEmpty: Bool

        init(_ database: SQLiteDatabase) throws(SQLiteError) {
            applicationID = try database.statement("PRAGMA application_id").first { $0.int(0) } ?? 0
            version = try database.statement("PRAGMA user_version").first { $0.int(0) } ?? 0
            let tables = try database.statement("SELECT count(*) FROM sqlite_schema").first { $0.int(0) } ?? 0
            isEmpty = tables == 0 && applicationID == 0 && version == 0
        }
    }

    /// Version 1. Times are microseconds since 1970.
    private static let schema = """
        -- Priority steps are kombu's: 0, 3, 6 and 9, the lowest first. raw: kombu's JSON envelope.
        CREATE TABLE message (
            id INTEGER PRIMARY KEY, queue TEXT NOT NULL, step INTEGER NOT NULL, raw BLOB NOT NULL);
        -- To be taken, in the order of place.
        CREATE TABLE waiting (
            queue TEXT NOT NULL, step INTEGER NOT NULL, place INTEGER NOT NULL, message INTEGER NOT NULL,
            PRIMARY KEY (queue, step, place)) WITHOUT ROWID;
        -- To be taken by anybody from a second before due.
        CREATE TABLE parked (
            queue TEXT NOT NULL, due INTEGER NOT NULL, message INTEGER NOT NULL,
            PRIMARY KEY (queue, due, message)) WITHOUT ROWID;
        -- In the hands of a node under a number of its own. started: acknowledged early, so that it must not run again.
        CREATE TABLE held (
            node INTEGER NOT NULL, sequence INTEGER NOT NULL, message INTEGER NOT NULL, started INTEGER NOT NULL DEFAULT 0,
            PRIMARY KEY (node, sequence)) WITHOUT ROWID;
        -- Lives of masters. AUTOINCREMENT: a number is never given again, so whoever missed its own funeral holds nothing.
        CREATE TABLE node (
            id INTEGER PRIMARY KEY AUTOINCREMENT, incarnation TEXT NOT NULL UNIQUE, name TEXT NOT NULL, counter INTEGER NOT NULL);
        -- What could not be run, oldest first; body is null once it had to make room.
        CREATE TABLE dead (
            id INTEGER PRIMARY KEY, queue TEXT NOT NULL, task TEXT, reason TEXT NOT NULL, died INTEGER NOT NULL, body BLOB);
        CREATE INDEX dead_with_body ON dead (id) WHERE body IS NOT NULL;
        -- revision: starts as the time, so that a record made anew has another, and is counted up with every change; for watchers.
        CREATE TABLE result (
            id INTEGER PRIMARY KEY, task TEXT NOT NULL UNIQUE, state TEXT NOT NULL, record BLOB NOT NULL,
            revision INTEGER NOT NULL, expires INTEGER NOT NULL);
        CREATE INDEX result_by_expiry ON result (expires);
        -- Requests to all nodes, and their answers; both go after a minute. AUTOINCREMENT: a node asks for "since number n".
        CREATE TABLE control (id INTEGER PRIMARY KEY AUTOINCREMENT, created INTEGER NOT NULL, body BLOB NOT NULL);
        CREATE TABLE reply (id INTEGER PRIMARY KEY, created INTEGER NOT NULL, ticket TEXT NOT NULL, body BLOB NOT NULL);
        """

    /// What version 2 has beside it.
    private static let additions = """
        -- The stories of the attempts that died, a JSON array; null: none.
        ALTER TABLE dead ADD COLUMN deaths TEXT;
        -- Ids that must not run. AUTOINCREMENT: a node asks for "since number n".
        CREATE TABLE revoked (mark INTEGER PRIMARY KEY AUTOINCREMENT, task TEXT NOT NULL UNIQUE, at INTEGER NOT NULL);
        -- Attempts of tasks that may run again after a death, from 1; story: JSON.
        CREATE TABLE attempt (
            task TEXT NOT NULL, number INTEGER NOT NULL, at INTEGER NOT NULL, story BLOB NOT NULL,
            PRIMARY KEY (task, number)) WITHOUT ROWID;
        CREATE INDEX attempt_by_time ON attempt (at);
        -- For a broker that keeps no such book: who has a message, by task id and retries. Once started and acknowledged it has the
        -- message, a JSON envelope; once finished nobody has it, and the row goes at that time.
        CREATE TABLE claim (
            message TEXT PRIMARY KEY, node INTEGER, mark TEXT NOT NULL, queue TEXT, raw BLOB, finished INTEGER) WITHOUT ROWID;
        CREATE INDEX claim_by_node ON claim (node) WHERE node IS NOT NULL;
        CREATE INDEX claim_by_finish ON claim (finished) WHERE finished IS NOT NULL;
        """
}
