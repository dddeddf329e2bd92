import CSystemd
import CoppiceSystem

/// sd_notify: what systemd is told. Without a NOTIFY_SOCKET every call is a no-op.
public struct ServiceNotifier {
    /// Half of what the unit's WatchdogSec says, in seconds; nil where there is no watchdog for this process.
    public let watchdogInterval: Double?

    public init() {
        var microseconds: UInt64 = 0
        watchdogInterval = sd_watchdog_enabled(0, &microseconds) > 0 ? Double(microseconds) / 2e6 : nil
    }

    public func ready(status: String) { send("READY=1\nSTATUS=\(status)") }
    public func status(_ text: String) { send("STATUS=\(text)") }
    public func stopping(status: String) { send("STOPPING=1\nSTATUS=\(status)") }
    public func watchdog() { send("WATCHDOG=1") }
    /// Asks for so many more seconds before a start or stop counts as timed out.
    public func extendTimeout(seconds: Double) { send("EXTEND_TIMEOUT_USEC=\(Int(seconds * 1e6))") }

    private func send(_ state: String) { sd_notify(0, state) }
}
