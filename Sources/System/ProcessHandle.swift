import CLinux
import CoppiceShared
import Glibc

/// A process that is not ours: signals through this reach it and no other that was given its number.
public final class ProcessHandle {
    private let pidfd: Descriptor

    /// - Throws: there is no such process.
    public init(pid: Int32) throws(SystemError) {
        let raw = coppice_pidfd_open(pid)
        guard raw >= 0 else { throw SystemError("process \(pid)") }
        pidfd = Descriptor(owning: raw)
    }

    public func signal(_ number: Int32) throws(SystemError) {
        guard coppice_pidfd_send_signal(pidfd.raw, number) == 0 else { throw SystemError("signal \(number)") }
    }

    /// Waits for its end, for so many seconds.
    public func hasEnded(within seconds: Double) throws(SystemError) -> Bool {
        !(try Poll.wait([PollInterest(descriptor: pidfd.raw, events: .read)], until: .now.advanced(by: seconds))).isEmpty
    }
}
