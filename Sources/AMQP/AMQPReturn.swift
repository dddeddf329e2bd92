/// A mandatory publication that no queue wanted.
public struct AMQPReturn: Equatable, Sendable {
    public var code: UInt16
    public var text: String
    public var exchange: String
    public var routingKey: String
    public var properties: AMQPProperties
    /// Empty if the message is larger than the connection's limit.
    public var body: [UInt8]
    /// The body's size in bytes, kept or not.
    public var size: Int
}
