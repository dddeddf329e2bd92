import CLinux
import Glibc

/// An open file descriptor; closed when the last reference goes, or by `close`.
///
/// Everything that the master opens is close-on-exec: a child gets what its spawn actions name and nothing else.
public final class Descriptor {
    /// The number, or -1 once closed.
    public private(set) var raw: Int32

    /// Takes the descriptor over.
    public init(owning raw: Int32) { self.raw = raw }

    deinit { close() }

    public func close() {
        guard raw >= 0 else { return }
        Glibc.close(raw)
        raw = -1
    }

    public enum ReadResult: Equatable {
        case bytes([UInt8])
        /// Nothing is there now.
        case wouldBlock
        /// The other end is closed.
        case end
    }

    /// Reads at most `count` bytes.
    public func read(upTo count: Int) throws(SystemError) -> ReadResult {
        while true {
            var failure: Int32 = 0
            // The buffer is filled by read(2), which says how much of it is valid.
            let bytes = [UInt8](unsafeUninitializedCapacity: count) { buffer, filled in
                let got = Glibc.read(raw, buffer.baseAddress, count)
                filled = max(0, got)
                failure = got < 0 ? errno : 0
            }
            switch failure {
            case 0: return bytes.isEmpty ? .end : .bytes(bytes)
            case EINTR: continue
            case EAGAIN: return .wouldBlock
            case ECONNRESET, EPIPE: return .end
            default: throw SystemError("read", code: failure)
            }
        }
    }

    /// Writes what fits of `bytes` from `offset` on; the count written, 0 if the descriptor would block.
    public func write(_ bytes: [UInt8], from offset: Int = 0, upTo count: Int = .max) throws(SystemError) -> Int {
        try write(bytes[offset...].prefix(count))
    }

    /// The same.
    public func write(_ bytes: ArraySlice<UInt8>) throws(SystemError) -> Int {
        while true {
            // The buffer is the slice's and holds as many bytes as are told.
            let written = bytes.withUnsafeBytes { Glibc.write(raw, $0.baseAddress, $0.count) }
            if written >= 0 { return written }
            switch errno {
            case EINTR: continue
            case EAGAIN: return 0
            default: throw SystemError("write")
            }
        }
    }

    /// Writes all of `bytes`, to what does not block.
    ///
    /// - Throws: also where a part is written and no more, as on a full disk.
    public func write(all bytes: [UInt8]) throws(SystemError) { try Descriptor.write(all: bytes, to: raw) }

    /// Gives what it refers to to another user. Refused, it stays as it was.
    public func give(to user: UserAccount) { _ = fchown(raw, user.id, user.group) }

    public func setNonBlocking() throws(SystemError) {
        guard coppice_set_nonblocking(raw) == 0 else { throw SystemError("fcntl") }
    }

    /// A pipe, both ends close-on-exec.
    public static func pipe() throws(SystemError) -> (read: Descriptor, write: Descriptor) {
        var ends: [Int32] = [-1, -1]
        guard coppice_pipe(&ends) == 0 else { throw SystemError("pipe2") }
        return (Descriptor(owning: ends[0]), Descriptor(owning: ends[1]))
    }

    /// Opens a file, close-on-exec.
    public static func open(_ path: String, flags: Int32, mode: UInt32 = 0o600) throws(SystemError) -> Descriptor {
        let raw = coppice_open(path, flags | O_CLOEXEC, mode)
        guard raw >= 0 else { throw SystemError("open \(path)") }
        return Descriptor(owning: raw)
    }

    /// Writes all of `bytes` to a blocking descriptor that the caller owns by number.
    public static func write(all bytes: [UInt8], to raw: Int32) throws(SystemError) {
        var offset = 0
        while offset < bytes.count {
            let written = bytes.withUnsafeBytes { buffer in
                // `offset` is below `count`, so the pointer stays inside the buffer.
                Glibc.write(raw, buffer.baseAddress.map { $0 + offset }, buffer.count - offset)
            }
            if written >= 0 {
                offset += written
            } else if errno != EINTR {
                throw SystemError("write")
            }
        }
    }
}
