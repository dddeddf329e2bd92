/// The name under which a message that we hold is recorded with its broker. Opaque outside the transport that made it.
public struct DeliveryTag: Hashable, Sendable, CustomStringConvertible {
    public let value: String
    public init(_ value: String) { self.value = value }
    public var description: String { value }
}
