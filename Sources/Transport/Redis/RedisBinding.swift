import CoppiceRedis
import CoppiceShared

/// How a queue hangs on an exchange: a member of kombu's binding set, `<routing key> SEP <pattern> SEP <queue>` (celery-wire §2.5).
struct RedisBinding: Equatable {
    var routingKey: String
    /// Of a topic exchange; else empty.
    var pattern: String
    var queue: String

    init(routingKey: String, pattern: String, queue: String) {
        self.routingKey = routingKey
        self.pattern = pattern
        self.queue = queue
    }

    init(_ declaration: QueueDeclaration) {
        routingKey = declaration.routingKey
        pattern = declaration.exchangeType == .topic ? RedisTopicPattern.stored(declaration.routingKey) : ""
        queue = declaration.name
    }

    /// nil for a member that is none.
    init?(member: String, _ layout: RedisQueueLayout) {
        let parts = member.split(separator: layout.separator, omittingEmptySubsequences: false)
        guard parts.count == 3, !parts[2].isEmpty else { return nil }
        routingKey = String(parts[0])
        pattern = String(parts[1])
        queue = String(parts[2])
    }

    func member(_ layout: RedisQueueLayout) -> String { [routingKey, pattern, queue].joined(separator: layout.separator) }

    /// Whether a message with this key comes into the queue. Only topic bindings have a pattern.
    func matches(_ key: String) -> Bool {
        pattern.isEmpty ? routingKey == key : RedisTopicPattern(pattern)?.matches(key) ?? (routingKey == key)
    }
}
