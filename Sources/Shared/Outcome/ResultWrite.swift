/// One record to be stored and announced.
public struct ResultWrite: Equatable, Sendable {
    public enum Reach: Equatable, Sendable {
        /// Stored, and announced to who waits.
        case storeAndAnnounce
        /// Announced only: the next write of the same commit replaces the record at once.
        case announce
    }

    public var taskID: String
    public var state: TaskState
    /// The encoded `ResultRecord`.
    public var record: [UInt8]
    public var reach: Reach
    /// Where the task's caller waits for the record, for a store that sends it there: its queue, and what it knows the call by.
    public var replyTo: String?
    public var correlationID: String?

    /// - Parameter message: the call that the record is of.
    public init(_ record: ResultRecord, of message: TaskMessage? = nil, reach: Reach = .storeAndAnnounce) {
        replyTo = message?.replyTo
        correlationID = message?.correlationID
        taskID = record.taskID
        state = record.state
        self.record = record.encoded
        self.reach = reach
    }
}
