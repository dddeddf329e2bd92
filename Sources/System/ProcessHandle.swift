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

    /// When a process was started, in clock ticks from the machine's start: tells it from a later one of its number. nil: there is none.
    public static func startTime(of pid: Int32) -> Int? {
        // The name stands in parentheses and may hold anything, parentheses too.
        guard let text = SmallFile.text("/proc/\(pid)/stat"), let end = text.lastIndex(of: ")") else { return nil }
        let fields = text[text.index(after: end)...].split(separator: " ")
        return fields.count > 19 ? Int(fields[19]) : nil
    }

    public func signal(_ number: Int32) throws(SystemError) {
        guard coppice_pidfd_send_signal(pidfd.raw, number) == 0 else { throw SystemError("signal \(number)") }
    }

    /// Waits for its end, for so many seconds.
    public func hasEnded(within seconds: Double) throws(SystemError) -> Bool {
        !(try Poll.wait([PollInterest(descriptor: pidfd.raw, events: .read)], until: .now.advanced(by: seconds))).isEmpty
    }
}
