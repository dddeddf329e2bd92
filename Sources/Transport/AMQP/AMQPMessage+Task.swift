import CoppiceAMQP
import CoppiceShared

extension AMQPMessage {
    /// A task message as Celery publishes it.
    ///
    /// - Returns: nil where the headers are no object, or the body is said to be base64 and is not.
    init?(_ publication: TaskPublication) {
        guard let headers = (try? JSONValue(parsing: publication.headers))?.object else { return nil }
        guard let body = publication.bodyIsBase64 ? Base64.decode(publication.body) : publication.body else { return nil }
        var properties = AMQPProperties()
        properties.contentType = publication.contentType
        properties.contentEncoding = publication.contentEncoding
        properties.headers = AMQPMessage.headersToSendOn(headers)
        properties.deliveryMode = 2
        properties.priority = UInt8(clamping: publication.priority)
        properties.correlationID = publication.correlationID
        properties.replyTo = publication.replyTo
        properties.timestamp = publication.sentAt.flatMap { UInt64(exactly: $0.microseconds / 1_000_000) }
        self.init(exchange: publication.exchange, routingKey: publication.routingKey, properties: properties, body: body)
    }

    /// A message that we hold, to its queue once more.
    ///
    /// - Parameter mark: as in `TaskMessage.copyMark`; nil: the original is not left behind.
    init(copyOf delivery: AMQPDelivery, queue: String, mark: String? = nil) {
        var properties = delivery.properties
        properties.headers = properties.headers.map(AMQPMessage.headersToSendOn)
        if let mark { properties.headers?[TaskMessage.copyMarkHeader.description] = .string(mark) }
        // The time that is left is in the headers; this one would begin anew.
        properties.expiration = nil
        self.init(routingKey: queue, properties: properties, body: delivery.body)
    }

    /// A control request, to every node (celery-wire §7.1).
    init(control request: [UInt8]) {
        self.init(
            exchange: AMQPTopology.controlExchange, routingKey: "", properties: .json(["clock": 1, "expires": 0], mode: 2), body: request)
    }

    /// The answer to a control request (celery-wire §7.2).
    init(_ reply: ControlReply) {
        self.init(
            exchange: reply.exchange, routingKey: reply.routingKey,
            properties: .json(["ticket": .string(reply.ticket), "clock": 1], mode: 1), body: reply.body)
    }
}

extension AMQPProperties {
    fileprivate static func json(_ headers: JSONObject, mode: UInt8) -> AMQPProperties {
        var properties = AMQPProperties()
        properties.contentType = "application/json"
        properties.contentEncoding = "utf-8"
        properties.headers = headers
        properties.deliveryMode = mode
        properties.priority = 0
        return properties
    }
}
