import CoppiceShared
import Logging

/// One event as the log has it: what happened, when, and what it concerns.
struct LogRecord {
    var time: WallTime
    var level: Logger.Level
    var text: String
    /// `LogField`'s names and what parts add of their own: lower case, digits and underscores. Texts and numbers.
    var fields = JSONObject()

    /// A longer text or field is cut: a record fits into one datagram whatever a message's headers hold.
    static let longestText = 16384
    static let longestField = 1024

    /// The slot of the child that it concerns; 0: none.
    var slot: Int { fields[LogField.slot]?.int ?? 0 }
    /// Whether a child wrote it, and not the master.
    var isChilds: Bool { fields[LogField.stream] != nil }

    /// `name[id]` of the task that it concerns.
    var task: String? {
        guard let id = fields[LogField.taskID]?.string else { return nil }
        return "\(fields[LogField.taskName]?.string ?? "")[\(id)]"
    }
}
