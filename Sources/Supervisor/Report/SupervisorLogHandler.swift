import CoppiceShared
import CoppiceSystem
import Logging

/// Hands the logger's events to the sink, their metadata as the record's fields.
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
        let own = event.metadata ?? [:]
        let metadata = metadata.isEmpty ? own : metadata.merging(own) { _, own in own }
        sink.write(
            LogRecord(
                time: .now, level: event.level, text: SupervisorLogHandler.cut(event.message.description, LogRecord.longestText),
                fields: SupervisorLogHandler.fields(metadata)))
    }

    private static func fields(_ metadata: Logger.Metadata) -> JSONObject {
        var fields = JSONObject()
        for (name, value) in metadata.sorted(by: { $0.key < $1.key }) {
            switch value {
            case .stringConvertible(let number as Int): fields.append(name, .int(number))
            case .stringConvertible(let number as Double): fields.append(name, .double(number))
            case .string(let text): fields.append(name, .string(cut(text, LogRecord.longestField)))
            default: fields.append(name, .string(cut(value.description, LogRecord.longestField)))
            }
        }
        return fields
    }

    private static func cut(_ text: String, _ limit: Int) -> String {
        text.utf8.count <= limit ? text : String(decoding: text.utf8.prefix(limit), as: UTF8.self) + "…"
    }
}
