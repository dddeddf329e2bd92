import CoppiceShared
import CoppiceSystem
import Glibc
import Synchronization

/// Where log lines go: a file, or standard error. Never waits: a reader that does not read loses lines, which are counted, not the
/// master its time.
public final class LogSink: Sendable {
    private let descriptor: Int32
    private let isFile: Bool
    private let dropped = Atomic<Int>(0)

    /// The longest line that is written in one piece; a pipe takes that much whole once it is writable.
    private static let longestLine = 4096

    /// - Parameter path: appended to; nil: standard error. The descriptor stays open for the process's life.
    public init(path: String?) throws(SystemError) {
        guard let path else {
            descriptor = STDERR_FILENO
            isFile = false
            return
        }
        let raw = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0o640)
        guard raw >= 0 else { throw SystemError("open \(path)") }
        descriptor = raw
        isFile = true
    }

    func write(_ line: String) {
        var bytes = Array(line.utf8.prefix(LogSink.longestLine - 1))
        bytes.append(UInt8(ascii: "\n"))
        if !isFile {
            var entry = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
            guard poll(&entry, 1, 0) == 1, Int32(entry.revents) & POLLOUT != 0 else {
                dropped.add(1, ordering: .relaxed)
                return
            }
        }
        let lost = dropped.exchange(0, ordering: .relaxed)
        if lost > 0 { bytes = Array("(\(lost) log lines lost: nobody read them)\n".utf8) + bytes }
        // A full disk loses the line; the work goes on.
        _ = bytes.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
    }
}
