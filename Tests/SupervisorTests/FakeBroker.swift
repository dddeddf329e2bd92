import CoppiceResults
import CoppiceShared
import CoppiceSystem
import CoppiceTransport

/// A broker and a store as the outbox sees them: they note down what they are given and answer when the test says so. Each connection is
/// an object of its own; what has been carried out outlives it.
final class FakeBroker: BrokerSession {
    /// The batches that this connection was given and has not answered.
    private(set) var batches: [(number: UInt64, commits: [Commit])] = []
    /// Tags in the order in which this connection was given them.
    private(set) var received: [Commit] = []

    /// What it has to say next.
    var events: [BrokerEvent] = []
    private(set) var flushes = 0
    private(set) var isClosed = false
    /// Called at each flush.
    var onFlush: () -> Void = {}

    var interests: [PollInterest] { [] }
    var deadline: MonotonicTime? { nil }
    var leaseProven: MonotonicTime? { nil }
    func ready(_ descriptor: Int32, _ events: PollEvents, now: MonotonicTime) {}
    func expired(now: MonotonicTime) {}
    func take(upTo count: Int) {}
    func reply(_ reply: ControlReply) {}
    func revoke(_ ids: [String]) {}
    func close() { isClosed = true }

    func takeEvents() -> [BrokerEvent] {
        defer { events = [] }
        return events
    }

    func flush() {
        flushes += 1
        onFlush()
    }

    func commit(_ commits: [Commit], as batch: UInt64) {
        batches.append((batch, commits))
        received += commits
    }

    /// Answers the oldest batch, or a later one that has overtaken it.
    func answer(_ index: Int = 0) -> (number: UInt64, commits: [Commit])? {
        batches.indices.contains(index) ? batches.remove(at: index) : nil
    }
}

final class FakeStore: ResultStore {
    let takesSeveral: Bool
    var isHeldUp = false
    private(set) var batches: [[ResultWrite]] = []
    private var numbers: [UInt64] = []
    private(set) var received: [ResultWrite] = []

    var interests: [PollInterest] { [] }
    var deadline: MonotonicTime? { nil }
    func ready(_ descriptor: Int32, _ events: PollEvents, now: MonotonicTime) {}
    func expired(now: MonotonicTime) {}
    func takeEvents() -> [ResultEvent] { [] }
    func fetch(_ taskID: String) {}
    func watch(_ taskID: String) {}

    init(takesSeveral: Bool = false) { self.takesSeveral = takesSeveral }

    func store(_ writes: [ResultWrite], as batch: UInt64) {
        batches.append(writes)
        numbers.append(batch)
        received += writes
    }

    /// Answers the oldest batch, or a later one that has overtaken it.
    func answer(_ index: Int = 0) -> (number: UInt64, writes: [ResultWrite])? {
        guard batches.indices.contains(index) else { return nil }
        return (numbers.remove(at: index), batches.remove(at: index))
    }
}
