import CoppiceShared

/// A message that has been taken from its queue and is held under a tag until it is settled.
public struct ReceivedMessage: Sendable {
    public var tag: DeliveryTag
    public var queue: String
    /// The message, or why it can't be run.
    public var content: Result<TaskMessage, MessageDefect>
    /// Bytes of the message as it stood with the broker.
    public var size: Int
    /// Of a message that can't be read what is kept, so that it can be sent again.
    public var envelope: [UInt8]?

    public init(tag: DeliveryTag, queue: String, raw: [UInt8]) {
        self.tag = tag
        self.queue = queue
        size = raw.count
        content = Result { () throws(MessageDefect) -> TaskMessage in try Envelope.read(raw, queue: queue) }
        if case .failure = content { envelope = raw }
    }

    /// From a broker that keeps no envelopes.
    public init(tag: DeliveryTag, queue: String, size: Int, content: Result<TaskMessage, MessageDefect>, envelope: [UInt8]?) {
        self.tag = tag
        self.queue = queue
        self.size = size
        self.content = content
        self.envelope = envelope
    }
}
