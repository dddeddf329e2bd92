import CoppiceShared

/// A method that we send. What it means stands in the AMQP 0-9-1 reference; here are its arguments as far as we use them.
public enum AMQPRequest: Equatable, Sendable {
    case channelOpen
    case exchangeDeclare(String, type: String, durable: Bool = true)
    /// Asks whether the exchange is there; else the server closes the channel with 404.
    case exchangeExists(String)
    case exchangeBind(destination: String, source: String, routingKey: String)
    case queueDeclare(
        String, durable: Bool = true, exclusive: Bool = false, autoDelete: Bool = false, arguments: JSONObject = JSONObject())
    /// As `exchangeExists`, answered with what is in the queue.
    case queueExists(String)
    case queueBind(queue: String, exchange: String, routingKey: String)
    case queueDelete(String)
    case queuePurge(String)
    /// How many messages may be held without an acknowledgement: by the whole channel, or by each consumer that begins later.
    case qos(count: UInt16, wholeChannel: Bool)
    case consume(queue: String, tag: String, noAck: Bool)
    case cancel(tag: String)
    case confirmSelect
    case ack(UInt64, multiple: Bool)
    /// Back to the queue.
    case requeue(UInt64)

    /// Whether the server answers it.
    public var isAnswered: Bool {
        switch self {
        case .ack, .requeue: false
        case .channelOpen, .exchangeDeclare, .exchangeExists, .exchangeBind, .queueDeclare, .queueExists, .queueBind,
            .queueDelete, .queuePurge, .qos, .consume, .cancel, .confirmSelect:
            true
        }
    }
}
