import CoppiceSystem
import Glibc
import Logging

/// Lines as Celery's worker writes them: `[2026-11-22 12:29:45,867: INFO/MainProcess] text`.
struct SupervisorLogHandler: LogHandler {
    var logLevel: Logger.Level
    var metadata: Logger.Metadata = [:]
    private let sink: LogSink

    init(sink: LogSink, level: Logger.Level) {
        self.sink = sink
        logLevel = level
    }

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    func log(event: LogEvent) {
        let process = (event.metadata?["process"] ?? metadata["process"]).map { "\($0)" } ?? "MainProcess"
        // One event, one line: what a task prints can't forge another.
        let text = "\(event.message)".replacing("\n", with: "\n    ")
        sink.write("[\(SupervisorLogHandler.timestamp()): \(SupervisorLogHandler.name(event.level))/\(process)] \(text)")
    }

    private static func name(_ level: Logger.Level) -> String { level == .notice ? "INFO" : level.rawValue.uppercased() }

    /// Local time, to the millisecond.
    private static func timestamp() -> String {
        var now = timespec()
        clock_gettime(CLOCK_REALTIME, &now)
        var parts = tm()
        localtime_r(&now.tv_sec, &parts)
        func pad(_ value: Int32, _ width: Int) -> String {
            let digits = String(value)
            return String(repeating: "0", count: max(0, width - digits.count)) + digits
        }
        return
            "\(pad(parts.tm_year + 1900, 4))-\(pad(parts.tm_mon + 1, 2))-\(pad(parts.tm_mday, 2)) \(pad(parts.tm_hour, 2)):\(pad(parts.tm_min, 2)):\(pad(parts.tm_sec, 2)),\(pad(Int32(now.tv_nsec / 1_000_000), 3))"
    }
}
