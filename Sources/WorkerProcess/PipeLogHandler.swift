import CoppiceShared
import Logging

/// Sends a task's log lines up the pipe, so that they stand in the node's log with the task's id.
struct PipeLogHandler: LogHandler {
    let attempt: Attempt
    var logLevel: Logger.Level = .debug
    var metadata: Logger.Metadata = [:]

    init(attempt: Attempt) { self.attempt = attempt }

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    func log(event: LogEvent) {
        let level: UpFrame.LogLevel =
            switch event.level {
            case .trace, .debug: .debug
            case .info, .notice: .info
            case .warning: .warning
            case .error, .critical: .error
            }
        var text = event.message.description
        let metadata = self.metadata.merging(event.metadata ?? [:]) { _, own in own }
        for (key, value) in metadata.sorted(by: { $0.key < $1.key }) { text += " \(key)=\(value)" }
        attempt.log(level, text.utf8.count <= 65536 ? text : String(text.prefix(65536)) + "…")
    }
}
