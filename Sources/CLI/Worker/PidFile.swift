import CoppiceSystem
import Glibc

/// The file that holds the master's process id while it lives.
final class PidFile {
    private let path: String

    /// sysexits' EX_CANTCREAT, which Celery uses for this.
    private static let taken: Int32 = 73

    /// Takes the file; one whose process is gone is taken over.
    init(_ path: String) throws {
        self.path = path
        if let old = PidFile.read(path), old != getpid(), kill(old, 0) == 0 || errno == EPERM {
            throw CommandFailure(
                "--pidfile: \(path) belongs to process \(old), which runs; stop it or name another file", code: PidFile.taken)
        }
        // A new file put in place at once: nobody reads half a number.
        let temporary = "\(path).\(getpid())"
        do {
            let descriptor = try Descriptor.open(temporary, flags: O_WRONLY | O_CREAT | O_TRUNC, mode: 0o644)
            _ = try descriptor.write(Array("\(getpid())\n".utf8))
        } catch {
            throw CommandFailure("--pidfile: \(error)", code: PidFile.taken)
        }
        guard rename(temporary, path) == 0 else {
            throw CommandFailure("--pidfile: \(SystemError("rename to \(path)"))", code: PidFile.taken)
        }
    }

    /// Removes the file if it is still ours.
    func remove() {
        if PidFile.read(path) == getpid() { unlink(path) }
    }

    private static func read(_ path: String) -> Int32? {
        guard let descriptor = try? Descriptor.open(path, flags: O_RDONLY), case .bytes(let bytes) = try? descriptor.read(upTo: 64) else {
            return nil
        }
        return Int32(String(decoding: bytes, as: UTF8.self).prefix { !$0.isWhitespace }).flatMap { $0 > 0 ? $0 : nil }
    }
}
