/// Why a message can't be run. It is set aside with this, and FAILURE is stored where an id could be read.
public struct MessageDefect: Error, Equatable, Sendable {
    /// One line for the log and the dead-letter record.
    public var reason: String
    /// The task's id and name, as far as they could be read.
    public var taskID: String?
    public var taskName: String?

    public init(_ reason: String, taskID: String? = nil, taskName: String? = nil) {
        self.reason = reason
        self.taskID = taskID
        self.taskName = taskName
    }
}
