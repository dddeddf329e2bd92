import CSystemd
import CoppiceShared
import CoppiceSystem

/// What systemd is told. Without a NOTIFY_SOCKET every call is a no-op.
///
/// sd_notify(3) itself waits while the service manager does not read. So the datagrams are sent here, and each call says whether it was
/// heard; what must be heard is the caller's to say again.
public struct ServiceNotifier {
    /// Half of what the unit's WatchdogSec says, in seconds; nil where there is no watchdog for this process.
    public let watchdogInterval: Double?
    private let socket: DatagramSocket?

    public init() throws(SystemError) {
        var microseconds: UInt64 = 0
        watchdogInterval = sd_watchdog_enabled(0, &microseconds) > 0 ? Double(microseconds) / 2e6 : nil
        socket = try ServiceNotifier.address.map { (address) throws(SystemError) in try DatagramSocket(to: address) }
    }

    /// A path, or `@` and a name in the abstract namespace.
    private static var address: SocketAddress? {
        guard let name = CurrentProcess.environment("NOTIFY_SOCKET") else { return nil }
        return name.hasPrefix("@") ? .abstract(String(name.dropFirst())) : .unix(name)
    }

    public func ready(status: String) -> Bool { send("READY=1\nSTATUS=\(ServiceNotifier.line(status))") }
    public func status(_ text: String) -> Bool { send("STATUS=\(ServiceNotifier.line(text))") }
    public func stopping(status: String) -> Bool { send("STOPPING=1\nSTATUS=\(ServiceNotifier.line(status))") }
    /// - Parameter time: the monotonic clock's, from before anything was read again.
    public func reloading(at time: MonotonicTime, status: String) -> Bool {
        send("RELOADING=1\nMONOTONIC_USEC=\(time.nanoseconds / 1000)\nSTATUS=\(ServiceNotifier.line(status))")
    }
    public func watchdog() -> Bool { send("WATCHDOG=1") }
    /// Asks for so many more seconds before a start or stop counts as timed out.
    public func extendTimeout(seconds: Double) { _ = send("EXTEND_TIMEOUT_USEC=\(Int(seconds * 1e6))") }

    /// Bytes of a status. systemd passes a datagram of more than 4096 over, whatever else stands in it.
    static let longestStatus = 1024

    /// A status may quote a message's words: no line's end in it begins another assignment, and it is cut, not within a character.
    static func line(_ status: String) -> String {
        // Each takes a byte at least, and a message's words may be megabytes.
        let line = TerminalText.safe(String(status.unicodeScalars.prefix(longestStatus + 1)))
        guard line.utf8.count > longestStatus else { return line }
        var end = line.utf8.index(line.startIndex, offsetBy: longestStatus)
        while end.samePosition(in: line.unicodeScalars) == nil { end = line.utf8.index(before: end) }
        return line[..<end] + "…"
    }

    private func send(_ state: String) -> Bool { socket?.send(Array(state.utf8)) ?? true }
}
