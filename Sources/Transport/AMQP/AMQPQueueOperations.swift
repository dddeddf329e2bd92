import CoppiceAMQP
import CoppiceShared
import CoppiceSystem

/// An operator's hands on RabbitMQ.
public final class AMQPQueueOperations: QueueOperations {
    private var events: [QueueEvent] = [.lost("queue operations on RabbitMQ are rabbitmqctl's for now")]
    public init(_ url: AMQPURL) {}
    public var interests: [PollInterest] { [] }
    public var deadline: MonotonicTime? { nil }
    public func ready(_ descriptor: Int32, _ events: PollEvents, now: MonotonicTime) {}
    public func expired(now: MonotonicTime) {}
    public func takeEvents() -> [QueueEvent] {
        defer { events = [] }
        return events
    }
    public func survey(_ names: [String]?) {}
    public func purge(_ queue: String) {}
    public func move(from: String, to: String, upTo count: Int) {}
    public func deadLetters(upTo count: Int) {}
    public func deadLetter(_ id: String) {}
}
