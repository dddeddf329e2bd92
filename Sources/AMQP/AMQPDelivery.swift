/// A message that a consumer was given.
public struct AMQPDelivery: Equatable, Sendable {
    public var consumerTag: String
    /// Counted by the channel from 1.
    public var deliveryTag: UInt64
    public var redelivered: Bool
    public var exchange: String
    public var routingKey: String
    public var properties: AMQPProperties
    /// Empty if the message is larger than the connection's limit, or was put off.
    public var body: [UInt8]
    /// The body's size in bytes, kept or not.
    public var size: Int
    /// Why the properties can't be read; they are empty then.
    public var defect: String?
    /// There was no room for the body: the message is only good to be given back.
    public var isPutOff = false
}
