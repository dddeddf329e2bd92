import CoppiceShared

/// A message to be published.
public struct AMQPMessage: Equatable, Sendable {
    /// Empty: the anonymous exchange, where the routing key is a queue's name.
    public var exchange: String
    public var routingKey: String
    public var properties: AMQPProperties
    public var body: [UInt8]

    public init(exchange: String = "", routingKey: String, properties: AMQPProperties, body: [UInt8]) {
        self.exchange = exchange
        self.routingKey = routingKey
        self.properties = properties
        self.body = body
    }

    /// What of a message's headers goes along when it is sent on. RabbitMQ's own stay behind: it takes a message whose `x-death` names
    /// the queue that it would go to for one that goes round in circles, and drops it; `CC` and `BCC` would send copies.
    public static func headersToSendOn(_ headers: JSONObject) -> JSONObject {
        let isClean = headers.members.allSatisfy { !isRabbitMQs($0.key) }
        guard !isClean else { return headers }
        var kept = JSONObject()
        for member in headers.members where !isRabbitMQs(member.key) { kept.append(member.key, member.value) }
        return kept
    }

    private static func isRabbitMQs(_ key: String) -> Bool {
        key == "x-death" || key == "x-delivery-count" || key == "CC" || key == "BCC" || key.hasPrefix("x-first-death-")
            || key.hasPrefix("x-last-death-")
    }
}
