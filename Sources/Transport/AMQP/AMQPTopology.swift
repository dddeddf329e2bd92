import CoppiceAMQP
import CoppiceShared

/// What a Celery worker declares, with Celery's names and flags (celery-wire §3.1).
enum AMQPTopology {
    static let controlExchange = "celery.pidbox"
    static let replyExchange = "reply.celery.pidbox"

    /// A task queue with its exchange and its binding.
    static func requests(_ queue: QueueDeclaration) -> [AMQPRequest] {
        var requests: [AMQPRequest] = []
        if !queue.exchange.isEmpty { requests.append(.exchangeDeclare(queue.exchange, type: queue.exchangeType.rawValue)) }
        var arguments = JSONObject()
        if queue.kind == .quorum { arguments.append("x-queue-type", "quorum") }
        if let priority = queue.maximumPriority { arguments.append("x-max-priority", .int(priority)) }
        requests.append(.queueDeclare(queue.name, arguments: arguments))
        if !queue.exchange.isEmpty {
            requests.append(.queueBind(queue: queue.name, exchange: queue.exchange, routingKey: queue.routingKey))
        }
        return requests
    }

    /// The exchanges that all nodes and their callers share.
    static let sharedExchanges: [AMQPRequest] = [
        .exchangeDeclare(controlExchange, type: "fanout", durable: false),
        .exchangeDeclare(replyExchange, type: "direct", durable: false),
        .exchangeDeclare("celeryev", type: "topic"),
    ]

    /// The queue for control requests to a node, or for the answers to a caller.
    static func controlQueue(_ name: String) -> AMQPRequest {
        .queueDeclare(
            name, durable: false, exclusive: true, autoDelete: true, arguments: ["x-expires": 10000, "x-message-ttl": 300_000])
    }
}
