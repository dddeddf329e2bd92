/// A queue that is consumed, and how messages come into it. The defaults are those of a queue that Celery makes from a name alone.
public struct QueueDeclaration: Equatable, Sendable, ExpressibleByStringLiteral {
    /// How an exchange chooses among its queues.
    public enum ExchangeType: String, Sendable, CaseIterable { case direct, topic, fanout }
    /// How RabbitMQ keeps the queue; other brokers have one kind.
    public enum Kind: String, Sendable, CaseIterable { case classic, quorum }

    public var name: String
    public var exchange: String
    public var exchangeType = ExchangeType.direct
    /// For a topic exchange a pattern of words, `*` and `#`.
    public var routingKey: String
    public var kind = Kind.classic
    /// `x-max-priority`, 1 to 255; nil: RabbitMQ takes no notice of priorities.
    public var maximumPriority: Int?

    public init(_ name: String) {
        self.name = name
        exchange = name
        routingKey = name
    }

    public init(stringLiteral name: String) { self.init(name) }
}
