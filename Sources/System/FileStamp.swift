import Glibc

/// Tells whether a file is still as it was: which one it is, how long, and when it was last changed.
public struct FileStamp: Equatable, Sendable {
    private let device: UInt
    private let inode: UInt
    private let size: Int
    private let changed: [Int]

    /// nil: there is no file of this path, or none that we may see.
    public init?(path: String) {
        var status = stat()
        guard stat(path, &status) == 0 else { return nil }
        device = UInt(status.st_dev)
        inode = UInt(status.st_ino)
        size = Int(status.st_size)
        // A file that is put in another's place may bring along an old time of writing, but not of its own change.
        changed = [status.st_mtim, status.st_ctim].flatMap { [Int($0.tv_sec), Int($0.tv_nsec)] }
    }
}
