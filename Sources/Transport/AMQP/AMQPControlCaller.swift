import CoppiceAMQP
import CoppiceShared
import CoppiceSystem

/// Asks the nodes over RabbitMQ.
public final class AMQPControlCaller: ControlCaller {
    private var events: [CallerEvent] = [.lost("not on RabbitMQ yet")]
    public init(_ url: AMQPURL) {}
    public var interests: [PollInterest] { [] }
    public var deadline: MonotonicTime? { nil }
    public func ready(_ descriptor: Int32, _ events: PollEvents, now: MonotonicTime) {}
    public func expired(now: MonotonicTime) {}
    public func takeEvents() -> [CallerEvent] {
        defer { events = [] }
        return events
    }
    public func call(_ request: JSONObject) {}
    public func close() {}
}
