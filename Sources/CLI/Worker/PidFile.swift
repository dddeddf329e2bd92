import CoppiceSupervisor
import CoppiceSystem
import Glibc

/// The file that holds the master's process id while it lives. When that process was started stands beside it, in the report of its reloads:
/// a second line would be taken for a second process by `kill $(cat PIDFILE)`.
final class PidFile {
    private let path: String
    private let report: String?

    /// sysexits' EX_CANTCREAT, which Celery uses for this.
    private static let taken: Int32 = 73

    /// Takes the file; one whose process is gone is taken over. Of several that try at once, one gets it.
    init(_ path: String) throws {
        self.path = path
        report = ReloadReport.places(pidfile: path, runtimeDirectory: nil).first
        // One of a process that had this number before would make us look like it.
        if let report, ReloadReport(path: report)?.pid == getpid() { unlink(report) }
        // A new file put in place at once: nobody reads half a number.
        let temporary = "\(path).\(getpid())"
        do {
            // Left by a process of this number that was killed.
            unlink(temporary)
            let descriptor = try Descriptor.open(temporary, flags: O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, mode: 0o644)
            defer { unlink(temporary) }
            try descriptor.write(all: Array("\(getpid())\n".utf8))
            // Unlike rename(2) it replaces nothing.
            while link(temporary, path) != 0 {
                guard errno == EEXIST else { throw SystemError("link to \(path)") }
                try clear()
            }
        } catch let error as SystemError {
            throw CommandFailure("--pidfile: \(error)", code: PidFile.taken)
        }
    }

    /// Takes a file away whose process is gone. By its name it may be another's by now, so it is looked at where nobody else looks.
    private func clear() throws {
        try check(path)
        // Anything but a folder, which rename(2) would move as well.
        var info = stat()
        if lstat(path, &info) == 0, info.st_mode & S_IFMT == S_IFDIR { throw SystemError(path, code: EISDIR) }
        let old = "\(path).\(getpid()).old"
        guard rename(path, old) == 0 else {
            if errno == ENOENT { return }
            throw SystemError("rename of \(path)")
        }
        do { try check(old) } catch {
            // Where that does not go it stays under the other name.
            if link(old, path) == 0 { unlink(old) }
            throw error
        }
        unlink(old)
    }

    private func check(_ file: String) throws {
        guard let owner = PidFile.read(file), owner != getpid(), kill(owner, 0) == 0 || errno == EPERM else { return }
        // Its number may have been given to another process since it was killed.
        if let report = report.flatMap({ ReloadReport(path: $0) }), report.pid == owner, !report.isCurrent { return }
        throw CommandFailure(
            "--pidfile: \(path) belongs to process \(owner), which runs; stop it or name another file", code: PidFile.taken)
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
