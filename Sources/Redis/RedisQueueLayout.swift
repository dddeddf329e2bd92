/// How a queue's messages lie in Redis: a list for each priority step, and in which order a worker visits lists and queues. It is what
/// kombu's transport options `sep`, `priority_steps` and `queue_order_strategy` say, so all who share a queue must have the same
/// (celery-wire §2.3).
public struct RedisQueueLayout: Equatable, Sendable {
    /// kombu's `queue_order_strategy`: which of several queues comes first within a priority step.
    public enum Order: String, Sendable, CaseIterable {
        /// Each in turn.
        case roundRobin = "round_robin"
        /// The first that has messages, by name.
        case sorted
        /// The first that has messages, in the order in which the worker names its queues.
        case priority
    }

    /// Between a queue's name and a step, and between the parts of a binding. Not empty.
    public var separator = "\u{06}\u{16}"
    /// The lowest priority of each step: rising, from 0 on, none above 255. The first step is served first.
    public var steps = [0, 3, 6, 9]
    public var order = Order.roundRobin

    public init() {}

    /// A message's step is the largest that is not above its priority.
    public func step(ofPriority priority: Int) -> Int { steps.last { $0 <= priority } ?? 0 }

    /// The ending of a queue's name in the key of a step's list. Step 0 has the bare name.
    public func suffix(step: Int) -> String { step == 0 ? "" : separator + String(step) }
}
