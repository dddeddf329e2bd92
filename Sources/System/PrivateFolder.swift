import CLinux
import Glibc

/// A folder of this process's own among the temporary files, held by a lock for as long as the process lives: so another process can
/// tell one that was left behind, whatever process ids mean where it runs.
public final class PrivateFolder {
    public let path: String
    private let lock: Descriptor

    /// Makes `PARENT/NAME-XXXXXX`. Others may pass through it (mode 0711), and see nothing.
    public init(in parent: String, name: String) throws(SystemError) {
        for _ in 0..<16 {
            var template = Array("\(parent)/\(name)-XXXXXX".utf8CString)
            guard mkdtemp(&template) != nil else { throw SystemError("make a folder in \(parent)") }
            let path = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
            // One that somebody took for a left one before it was locked is theirs.
            guard let lock = PrivateFolder.lock(path) else { continue }
            guard chmod(path, 0o711) == 0 else { throw SystemError("change the mode of \(path)") }
            self.path = path
            self.lock = lock
            return
        }
        throw SystemError("lock a folder in \(parent)", code: EAGAIN)
    }

    /// Those of this user whose process is gone, each with the lock that keeps others from removing it, too.
    public static func leftBehind(in parent: String, name: String) -> [(path: String, lock: Descriptor)] {
        Folder.names(in: parent).filter { $0.hasPrefix(name + "-") }.compactMap { entry in
            let path = parent + "/" + entry
            return lock(path).map { (path, $0) }
        }
    }

    /// nil: it is held by another, belongs to another user, or is not the folder of that name any more.
    private static func lock(_ path: String) -> Descriptor? {
        guard let folder = try? Descriptor.open(path, flags: O_DIRECTORY | O_NOFOLLOW), flock(folder.raw, LOCK_EX | LOCK_NB) == 0 else {
            return nil
        }
        var opened = stat()
        var named = stat()
        guard fstat(folder.raw, &opened) == 0, lstat(path, &named) == 0, opened.st_ino == named.st_ino, opened.st_dev == named.st_dev,
            opened.st_uid == geteuid()
        else { return nil }
        return folder
    }

    /// Makes a folder in it that its owner alone may enter.
    public func make(_ name: String, owner: UserAccount?) throws(SystemError) -> String {
        let path = self.path + "/" + name
        guard mkdir(path, 0o700) == 0 else { throw SystemError("make the folder \(path)") }
        if let owner, lchown(path, owner.id, owner.group) != 0 {
            let failure = SystemError("give the folder \(path) to user \(owner.id)")
            rmdir(path)
            throw failure
        }
        return path
    }
}
