import CoppiceSystem
import Glibc

/// Lines for a file, a terminal or a pipe, handed over without waiting for a reader.
public struct LineOutput {
    private let path: String?
    private var opened: Descriptor?
    private var raw: Int32
    /// Of which a write never waits for a reader.
    private var isFile = false
    private var pending: [UInt8] = []
    private var lastWritten = LineOutput.newline

    private static let newline = UInt8(ascii: "\n")

    /// What a pipe takes without blocking once poll(2) calls it writable (PIPE_BUF).
    private static let piece = 4096

    /// - Parameter path: appended to; nil: standard error.
    init(path: String?) throws(SystemError) {
        self.path = path
        raw = STDERR_FILENO
        if path == nil { begin() } else { try reopen() }
    }

    /// A descriptor that is open already and stays so.
    public init(descriptor: Int32) {
        path = nil
        raw = descriptor
        begin()
    }

    private mutating func begin() {
        // poll(2) calls a terminal writable that takes one byte, and a write of more waits for its reader. Its description is the shell's,
        // too, and not ours to change: so one of our own. Another user's terminal (su) can't be opened, and stays as it is.
        if isatty(raw) == 1, let own = try? Descriptor.open("/proc/self/fd/\(raw)", flags: O_WRONLY | O_NONBLOCK | O_NOCTTY) {
            raw = own.raw
            opened = own
        }
        isFile = LineOutput.isFile(raw)
    }

    /// Opens the path anew, if there is one. Where that fails all stays as it was.
    mutating func reopen() throws(SystemError) {
        if let path {
            // It need not be a file: a FIFO is not waited for, nor does a terminal become ours.
            let new = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NONBLOCK | O_NOCTTY, 0o640)
            let failure = errno
            guard new >= 0 else {
                throw SystemError("open \(path)\(failure == ENXIO ? " (a FIFO that nobody reads, or a socket)" : "")", code: failure)
            }
            opened = Descriptor(owning: new)
            raw = new
            lastWritten = LineOutput.newline
            isFile = LineOutput.isFile(raw)
        }
    }

    private static func isFile(_ raw: Int32) -> Bool {
        var info = stat()
        return fstat(raw, &info) == 0 && info.st_mode & S_IFMT == S_IFREG
    }

    var backlog: Int { pending.count }

    /// Adds whole lines.
    public mutating func append(_ lines: some Sequence<UInt8>) {
        // The rest of the line before is lost.
        if pending.isEmpty, lastWritten != LineOutput.newline { pending.append(LineOutput.newline) }
        pending.append(contentsOf: lines)
    }

    /// Writes what the other end takes now; returns how many lines are lost, since the disk is full or the terminal closed.
    @discardableResult
    public mutating func flush() -> Int {
        var sent = 0
        var lost = 0
        while sent < pending.count, isFile || isWritable {
            let count = isFile ? pending.count - sent : min(LineOutput.piece, pending.count - sent)
            let written = pending.withUnsafeBytes { buffer in
                // `sent` is below the count, so the pointer stays inside the buffer.
                Glibc.write(raw, buffer.baseAddress.map { $0 + sent }, count)
            }
            if written < 0, errno == EAGAIN { break }
            if written > 0 {
                sent += written
                lastWritten = pending[sent - 1]
            } else if errno != EINTR {
                lost = pending[sent...].count { $0 == LineOutput.newline }
                sent = pending.count
            }
        }
        pending.removeFirst(sent)
        return lost
    }

    private var isWritable: Bool {
        var entry = pollfd(fd: raw, events: Int16(POLLOUT), revents: 0)
        return poll(&entry, 1, 0) == 1 && Int32(entry.revents) & POLLOUT != 0
    }
}
