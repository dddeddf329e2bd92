/// A mandatory publication that no queue wanted.
public struct AMQPReturn: Equatable, Sendable {
    public var code: UInt16
    public var text: String
    public var exchange: String
    public var routingKey: String
    public var properties: AMQPProperties
    public var body: [UInt8]
}
