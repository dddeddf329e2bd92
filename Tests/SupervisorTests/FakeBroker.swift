import CoppiceResults
import CoppiceShared
import CoppiceSystem
import CoppiceTransport

/// A broker and a store as the outbox sees them: they note down what they are given and answer when the test says so. Each connection is
/// an object of its own; what has been carried out outlives it.
final class FakeBroker: BrokerSession {
    let joinsResults: Bool
    /// The batches that this connection was given and has not answered.
    private(set) var batches: [[Commit]] = []
    /// Tags in the order in which this connection was given them.
    private(set) var received: [Commit] = []

    init(joinsResults: Bool) { self.joinsResults = joinsResults }

    var interests: [PollInterest] { [] }
    var deadline: MonotonicTime? { nil }
    var leaseProven: MonotonicTime? { nil }
    func ready(_ descriptor: Int32, _ events: PollEvents, now: MonotonicTime) {}
    func expired(now: MonotonicTime) {}
    func takeEvents() -> [BrokerEvent] { [] }
    func take(upTo count: Int) {}
    func reply(_ reply: ControlReply) {}
    func revoke(_ ids: [String]) {}
    func flush() {}
    func close() {}

    func commit(_ commits: [Commit], as batch: UInt64) {
        batches.append(commits)
        received += commits
    }

    func answer() -> [Commit]? { batches.isEmpty ? nil : batches.removeFirst() }
}

final class FakeStore: ResultStore {
    private(set) var batches: [[ResultWrite]] = []
    private(set) var received: [ResultWrite] = []

    var interests: [PollInterest] { [] }
    var deadline: MonotonicTime? { nil }
    func ready(_ descriptor: Int32, _ events: PollEvents, now: MonotonicTime) {}
    func expired(now: MonotonicTime) {}
    func takeEvents() -> [ResultEvent] { [] }
    func fetch(_ taskID: String) {}
    func watch(_ taskID: String) {}

    func store(_ writes: [ResultWrite]) {
        batches.append(writes)
        received += writes
    }

    func answer() -> [ResultWrite]? { batches.isEmpty ? nil : batches.removeFirst() }
}
