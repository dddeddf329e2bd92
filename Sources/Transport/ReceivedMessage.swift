import CoppiceShared

/// A message that has been taken from its queue and is held under a tag until it is settled.
public struct ReceivedMessage: Sendable {
    public var tag: DeliveryTag
    public var queue: String
    /// The message, or why it can't be run.
    public var content: Result<TaskMessage, MessageDefect>
    /// What can't be read, as it came; empty for what can.
    public var raw: [UInt8] = []
    /// Bytes of the message as it stood with the broker.
    public var size: Int

    public init(tag: DeliveryTag, queue: String, raw: [UInt8]) {
        self.tag = tag
        self.queue = queue
        size = raw.count
        content = Result { () throws(MessageDefect) -> TaskMessage in try Envelope.read(raw, queue: queue) }
    }
}
