import CoppiceAMQP
import CoppiceShared

extension AMQPDelivery {
    /// The task message, or why it can't be run.
    func received(as tag: DeliveryTag, from queue: String) -> ReceivedMessage {
        let content = Result { () throws(MessageDefect) -> TaskMessage in try message(from: queue) }
        var envelope: [UInt8]?
        if case .failure = content { envelope = self.envelope(queue: queue) }
        return ReceivedMessage(tag: tag, queue: queue, size: size, content: content, envelope: envelope)
    }

    private func message(from queue: String) throws(MessageDefect) -> TaskMessage {
        if let defect { throw MessageDefect(defect) }
        var message = try TaskMessage(
            headers: properties.headers ?? JSONObject(), contentType: properties.contentType ?? "", routingKey: routingKey, body: body)
        message.contentEncoding = properties.contentEncoding
        message.correlationID = properties.correlationID
        message.replyTo = properties.replyTo
        message.priority = Int(properties.priority ?? 0)
        message.redelivered = redelivered
        message.exchange = exchange
        // It has waited in the delay queues: its retries are not to go through them by this key again.
        if DelayedDelivery.isOf(exchange) {
            message.exchange = ""
            message.routingKey = queue
        }
        return message
    }

    /// A message that can't be read as kombu would put it into a list: what of it there is.
    private func envelope(queue: String) -> [UInt8] {
        var publication = TaskPublication(
            routingKey: queue, headers: JSONValue.object(properties.headers ?? JSONObject()).bytes, body: body)
        publication.contentType = properties.contentType ?? ""
        publication.contentEncoding = properties.contentEncoding ?? ""
        publication.correlationID = properties.correlationID
        publication.replyTo = properties.replyTo
        publication.priority = Int(properties.priority ?? 0)
        return Envelope.write(publication, deliveryTag: Incarnation.randomUUID())
    }
}
