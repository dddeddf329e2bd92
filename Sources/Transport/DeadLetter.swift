import CoppiceShared

/// A record of the dead-letter place, as it is read by an operator.
public struct DeadLetter: Equatable, Sendable {
    public var id: String
    public var reason: String
    /// The queue that the message was taken from.
    public var queue: String
    /// nil where the record has no time that can be read.
    public var at: WallTime?
    public var taskID: String?
    /// Whether the message is still kept beside the record.
    public var hasMessage: Bool
    /// What else the record says.
    public var further = JSONObject()

    public init(id: String, reason: String, queue: String, at: WallTime?, taskID: String?, hasMessage: Bool) {
        self.id = id
        self.reason = reason
        self.queue = queue
        self.at = at
        self.taskID = taskID
        self.hasMessage = hasMessage
    }

    /// The priority that a kept message goes back with; 0 for what can't be read.
    static func priority(of message: [UInt8]) -> Int { (try? Envelope.read(message, queue: ""))?.priority ?? 0 }

    /// Reads a `DeadLetterRecord`'s text; nil where it is none.
    init?(record: [UInt8], hasMessage: Bool) {
        guard let object = (try? JSONValue(parsing: record))?.object, let id = object["id"]?.string else { return nil }
        self.init(
            id: id, reason: object["reason"]?.string ?? "", queue: object["queue"]?.string ?? "",
            at: object["at"]?.string.flatMap(ISO8601.parse), taskID: object["task_id"]?.string, hasMessage: hasMessage)
        for (key, value) in object.members where !["v", "id", "reason", "queue", "at", "task_id"].contains(key) {
            further.append(key, value)
        }
    }
}
