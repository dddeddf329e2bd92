import CLinux
import Glibc

/// Notes that somebody writes to a file (inotify, IN_MODIFY). Writes through a memory mapping are not seen.
///
/// The watch is on the file that had the path when it was made: a file that takes its place is not seen.
public final class FileWatch {
    private let inotify: Descriptor

    public init(path: String) throws(SystemError) {
        let raw = coppice_inotify_file(path)
        guard raw >= 0 else { throw SystemError("watch \(path)") }
        inotify = Descriptor(owning: raw)
    }

    /// Readable when something has been noted.
    public var descriptor: Int32 { inotify.raw }

    /// Forgets what has been noted; whether there was anything.
    @discardableResult public func drain() -> Bool {
        var any = false
        // Equal notes that follow each other are one, so few are ever there. What can't be read now is not there for us.
        while case .bytes? = try? inotify.read(upTo: 4096) { any = true }
        return any
    }
}
