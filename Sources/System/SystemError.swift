import CLinux
import Glibc

/// A system call that failed: what was tried, and errno.
public struct SystemError: Error, Equatable, Sendable, CustomStringConvertible {
    public let operation: String
    public let code: Int32

    public init(_ operation: String, code: Int32 = errno) {
        self.operation = operation
        self.code = code
    }

    /// Whether it may be otherwise soon: the machine, or a limit, is short of something, or the file is being written.
    public var mayPass: Bool { [EAGAIN, ENOMEM, EMFILE, ENFILE, ENOSPC, EDQUOT, ETXTBSY, EIO, ESTALE].contains(code) }

    public var description: String { "\(operation): \(String(cString: strerror(code)))" }
}
