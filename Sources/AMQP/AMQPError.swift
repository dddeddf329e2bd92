/// Bytes that are not AMQP 0-9-1, or a value that does not fit into it.
public struct AMQPError: Error, Equatable, Sendable, CustomStringConvertible {
    public let description: String
    public init(_ description: String) { self.description = description }
}
