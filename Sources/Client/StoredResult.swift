import CoppiceShared

/// A task's record as it is stored, whoever wrote it.
public struct StoredResult: Sendable {
    public var state: TaskState
    public var result: JSONValue
    public var traceback: String?
    /// When it ended, by the clock of the host where it did; nil for a state that is none of the last.
    public var doneAt: WallTime?

    /// nil for what is no record.
    public init?(_ text: [UInt8]) {
        guard let record = try? JSONValue(parsing: text), let state = record["status"]?.string else { return nil }
        self.state = TaskState(state)
        result = record["result"] ?? .null
        traceback = record["traceback"]?.string
        doneAt = record["date_done"]?.string.flatMap(ISO8601.parse)
    }

    /// What went wrong, as Python shows it: `ValueError: text`.
    public var failureText: String {
        let type = result["exc_type"]?.string ?? state.name
        let arguments = result["exc_message"]?.array ?? []
        let text = arguments.count == 1 ? arguments[0].string ?? arguments[0].text : arguments.map(\.text).joined(separator: ", ")
        return text.isEmpty ? type : "\(type): \(text)"
    }
}
