/// How a queue stands. nil: the broker does not tell.
public struct QueueState: Equatable, Sendable {
    public var name: String
    /// Messages that can be taken, all priorities together.
    public var waiting: Int
    /// Taken, and not acknowledged yet.
    public var unacknowledged: Int?
    /// Kept by the broker until their time has come.
    public var parked: Int?
    /// Seconds since the message that is next was sent, for messages that say it (`properties.timestamp`; ours do, Python's do not).
    public var oldest: Double?
    /// Who takes messages from it.
    public var consumers: Int?
    /// The broker knows of no such queue. Never where a queue is no more than the name of what is in it.
    public var isMissing = false

    public init(
        name: String, waiting: Int, unacknowledged: Int? = nil, parked: Int? = nil, oldest: Double? = nil, consumers: Int? = nil
    ) {
        self.name = name
        self.waiting = waiting
        self.unacknowledged = unacknowledged
        self.parked = parked
        self.oldest = oldest
        self.consumers = consumers
    }
}
