import CoppiceShared

/// One step in a held message's life, carried out as a whole or not at all, and only if this incarnation still holds the message:
/// what it writes, what it sends on, and what becomes of the record.
public struct Commit: Sendable {
    public enum Step: Equatable, Sendable {
        /// The task has started; acknowledged now. The record becomes a start record, from which whoever finds it after our death
        /// stores the loss.
        case startEarly
        /// The record stays as it is; for the start of a late task, and for progress.
        case keep
        /// The end: the record goes.
        case conclude
        /// Back to its queue: where it will be taken next, or behind the others.
        case putBack(front: Bool)
        /// Not before `until`: out of our hands, held by no node, released by any.
        case park(until: WallTime)
        /// To the dead-letter place, with the stories of the attempts that died.
        case setAside(reason: String, deaths: [AttemptStory] = [])
    }

    public var tag: DeliveryTag
    /// The queue that the message came from.
    public var queue: String
    public var step: Step
    /// The task's id; empty if the message does not tell.
    public var taskID: String
    public var attempt: AttemptNote?
    /// Only for a session that has been told where results are kept.
    public var writes: [ResultWrite]
    /// Each for the queue that its routing key names.
    public var publications: [TaskPublication]

    public init(
        _ tag: DeliveryTag, queue: String, _ step: Step, taskID: String = "", attempt: AttemptNote? = nil, writes: [ResultWrite] = [],
        publications: [TaskPublication] = []
    ) {
        self.tag = tag
        self.queue = queue
        self.step = step
        self.taskID = taskID
        self.attempt = attempt
        self.writes = writes
        self.publications = publications
    }
}
