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

    public init(_ record: ResultRecord, reach: Reach = .storeAndAnnounce) {
        taskID = record.taskID
        state = record.state
        self.record = record.encoded
        self.reach = reach
    }
}
