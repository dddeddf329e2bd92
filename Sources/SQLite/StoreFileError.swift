/// Why the file can't be used, in words that tell what to do.
public enum StoreFileError: Error, Equatable, Sendable, CustomStringConvertible {
    case sqlite(SQLiteError, path: String)
    /// There is no file, or nothing in it, and none is to be made.
    case missing(path: String)
    case newer(path: String, version: Int, known: Int)

    init(_ error: SQLiteError, path: String) { self = .sqlite(error, path: path) }

    /// Only a matter of time.
    public var isBusy: Bool { if case .sqlite(let error, _) = self { error.isBusy } else { false } }

    public var description: String {
        switch self {
        case .missing(let path): return "\(path): no such file: nothing has been sent or stored there, or its name is another"
        case .newer(let path, let version, let known):
            return "\(path) has format \(version), and this program knows formats up to \(known): upgrade it, or name another file"
        case .sqlite(let error, let path):
            if error.isFull { return "no space left on the disk of \(path): make room" }
            if error.isReadOnly { return "\(path) can't be written (\(error)): give this user the right to write it and its directory" }
            if error.cantOpen {
                return "can't open \(path) (\(error)): its directory must exist, and this user must have the right to write there"
            }
            if error.isNotADatabase { return "\(path) is no file of Coppice (\(error)): name another, or move this one away" }
            if error.isCorrupt {
                return
                    "\(path) is damaged (\(error)): stop all that use it, then save what `sqlite3 \(path) .recover` finds, and move it away"
            }
            return "\(path): \(error)"
        }
    }
}
