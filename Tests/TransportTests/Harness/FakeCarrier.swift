import CoppiceShared
import CoppiceSystem
import CoppiceTransport

/// A carrier's connection in memory: gives what the test lays down, notes what becomes of it, and confirms what is sent when the test
/// says so.
final class FakeCarrier: MessageCarrier {
    private var events: [CarrierEvent] = [.standing]
    private var waiting: [ReceivedMessage] = []
    private(set) var acknowledged: [String] = []
    private(set) var requeued: [String] = []
    private(set) var sent: [(batch: UInt64, sendings: [Sending])] = []
    private(set) var isStopped = false

    let interests: [PollInterest] = []
    let deadline: MonotonicTime? = nil

    func ready(_ descriptor: Int32, _ events: PollEvents, now: MonotonicTime) {}
    func expired(now: MonotonicTime) {}
    func reply(_ reply: ControlReply) {}
    func flush() {}
    func allow(unsettled count: Int) {}
    func passedOn(_ tags: [DeliveryTag]) {}
    func close() { events.append(.lost("closed")) }

    func takeEvents() -> [CarrierEvent] {
        defer { events = [] }
        return events
    }

    /// A message that has come; its tag is what the test calls it.
    func deliver(_ tag: String, _ publication: TaskPublication, again: Bool = false) throws {
        var message = try Envelope.read(Envelope.write(publication, deliveryTag: tag), queue: "celery")
        message.redelivered = again
        waiting.append(ReceivedMessage(tag: DeliveryTag(tag), queue: "celery", size: 1, content: .success(message), envelope: nil))
        events.append(.rang)
    }

    func take(upTo count: Int) -> [ReceivedMessage] {
        defer { waiting = Array(waiting.dropFirst(count)) }
        return Array(waiting.prefix(count))
    }

    func acknowledge(_ tag: DeliveryTag) { acknowledged.append(tag.value) }
    func requeue(_ tag: DeliveryTag) { requeued.append(tag.value) }
    func send(_ sendings: [Sending], as batch: UInt64) { sent.append((batch, sendings)) }

    func stopTaking() {
        isStopped = true
        requeued += waiting.map(\.tag.value)
        waiting = []
    }

    func resumeTaking() { isStopped = false }

    func confirm(failure: String? = nil) {
        for (batch, sendings) in sent { events.append(.sent(batch: batch, sendings.map { _ in failure })) }
        sent = []
    }

    func fall() { events.append(.lost("cut")) }
}
