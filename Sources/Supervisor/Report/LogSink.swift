import CoppiceShared
import CoppiceSystem
import Glibc
import Synchronization

/// Where log lines go: a file, or standard error. Lines gather during a turn of the loop and leave together at its end. Never waits: a
/// reader that does not read loses lines, which are counted, not the master its time.
public final class LogSink: Sendable {
    private struct State {
        var pending: [UInt8] = []
        var lost = 0
    }

    private let descriptor: Int32
    /// Of which a write never waits for a reader.
    private let isFile: Bool
    private let state = Mutex(State())

    /// A line is cut at this many bytes.
    private static let longestLine = 16384
    /// More than this is not kept for a reader that does not read.
    private static let limit = 1 << 18
    /// What a pipe takes without blocking once poll(2) calls it writable (PIPE_BUF).
    private static let piece = 4096

    /// - Parameter path: appended to; nil: standard error. The descriptor stays open for the process's life.
    public convenience init(path: String?) throws(SystemError) {
        guard let path else {
            self.init(descriptor: STDERR_FILENO)
            return
        }
        // It need not be a file: a FIFO is not waited for, nor does a terminal become ours.
        let raw = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NONBLOCK | O_NOCTTY, 0o640)
        let failure = errno
        guard raw >= 0 else {
            throw SystemError("open \(path)\(failure == ENXIO ? " (a FIFO that nobody reads, or a socket)" : "")", code: failure)
        }
        self.init(descriptor: raw)
    }

    /// A descriptor that is open already and stays so.
    public init(descriptor: Int32) {
        self.descriptor = descriptor
        var info = stat()
        isFile = fstat(descriptor, &info) == 0 && info.st_mode & S_IFMT == S_IFREG
    }

    public func write(_ line: String) {
        state.withLock { state in
            guard state.pending.count < LogSink.limit else {
                state.lost += 1
                return
            }
            state.pending.append(contentsOf: line.utf8.prefix(LogSink.longestLine))
            state.pending.append(UInt8(ascii: "\n"))
        }
    }

    /// Writes what the other end takes now.
    public func flush() {
        state.withLock { state in
            guard !state.pending.isEmpty else { return }
            if state.lost > 0, state.pending.count < LogSink.limit {
                state.pending.append(contentsOf: "(\(state.lost) log lines lost: nobody read them)\n".utf8)
                state.lost = 0
            }
            var sent = 0
            while sent < state.pending.count, isFile || isWritable {
                let count = isFile ? state.pending.count - sent : min(LogSink.piece, state.pending.count - sent)
                let written = state.pending.withUnsafeBytes { buffer in
                    // `sent` is below the count, so the pointer stays inside the buffer.
                    Glibc.write(descriptor, buffer.baseAddress.map { $0 + sent }, count)
                }
                if written < 0, errno == EAGAIN { break }
                if written <= 0 {
                    // A full disk or a closed terminal loses the lines; the work goes on.
                    sent = state.pending.count
                } else {
                    sent += written
                }
            }
            state.pending.removeFirst(sent)
        }
    }

    private var isWritable: Bool {
        var entry = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
        return poll(&entry, 1, 0) == 1 && Int32(entry.revents) & POLLOUT != 0
    }
}
