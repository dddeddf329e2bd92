/// A node's answer to a control request, and where it goes (celery-wire §7.2).
public struct ControlReply: Equatable, Sendable {
    public var exchange: String
    public var routingKey: String
    public var ticket: String
    /// JSON text: `{"node": reply}`.
    public var body: [UInt8]

    public init(exchange: String, routingKey: String, ticket: String, body: [UInt8]) {
        self.exchange = exchange
        self.routingKey = routingKey
        self.ticket = ticket
        self.body = body
    }
}
