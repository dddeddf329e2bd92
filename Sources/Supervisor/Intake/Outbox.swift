import CoppiceResults
import CoppiceShared
import CoppiceTransport

/// What has to reach the store and the broker: kept until both have confirmed it, in order, over lost connections.
///
/// One batch is under way at each; what comes up meanwhile makes the next, so that batches grow with the load by themselves. Where the
/// broker's session joins results a batch is one atomic commit; else its records are stored first and the commit follows when they
/// stand. Its bound is the work that the master may hold.
struct Outbox {
    /// One delivery's step. A start that is overtaken by its own end before it has been sent is dropped.
    struct Entry {
        let delivery: Delivery
        var commit: Commit
    }

    private var pending: [Entry?] = []
    /// Whose records are on their way to a store of its own.
    private var storing: [Entry] = []
    /// Whose records stand, and whose commit waits for its turn.
    private var stored: [Entry] = []
    /// What the broker has not answered.
    private var committing: [Entry] = []

    var isEmpty: Bool { pending.isEmpty && storing.isEmpty && stored.isEmpty && committing.isEmpty }

    /// Whether the broker has yet to answer a batch.
    var isUnderWay: Bool { !committing.isEmpty }

    /// Adds a step; returns its place for `drop`.
    @discardableResult
    mutating func add(
        _ delivery: Delivery, _ step: Commit.Step, attempt: AttemptNote? = nil, writes: [ResultWrite] = [],
        publications: [TaskPublication] = []
    ) -> Int {
        let commit = Commit(
            delivery.tag, queue: delivery.queue, step, taskID: delivery.message.id, attempt: attempt, writes: writes,
            publications: publications)
        pending.append(Entry(delivery: delivery, commit: commit))
        return pending.count - 1
    }

    /// Takes a step back that has not been sent.
    mutating func drop(_ place: Int) { pending[place] = nil }

    /// Sends what can be sent. `broker` and `store` are nil while they are away; `store` is not asked for where results are joined.
    mutating func flush(broker: (any BrokerSession)?, store: (any ResultStore)?, joined: Bool) {
        if joined {
            if committing.isEmpty, broker != nil { stored += takePending() }
        } else if let store, storing.isEmpty, !pending.isEmpty {
            let batch = takePending()
            let writes = batch.flatMap(\.commit.writes)
            if writes.isEmpty {
                stored += batch
            } else {
                storing = batch
                store.store(writes)
            }
        }
        guard let broker, committing.isEmpty, !stored.isEmpty else { return }
        swap(&committing, &stored)
        broker.commit(committing.map(\.commit), as: 0)
    }

    private mutating func takePending() -> [Entry] {
        let batch = pending.compactMap(\.self)
        for entry in batch { entry.delivery.unsentStart = nil }
        pending.removeAll(keepingCapacity: true)
        return batch
    }

    /// The store has confirmed the batch.
    mutating func recordsStored() {
        for index in storing.indices { storing[index].commit.writes = [] }
        stored += storing
        storing = []
    }

    /// The broker has answered the batch.
    mutating func committed() -> [Entry] {
        defer { committing = [] }
        return committing
    }

    /// The store's connection is new: what the last one has not confirmed is sent again.
    func storeReturned(_ store: any ResultStore) {
        if !storing.isEmpty { store.store(storing.flatMap(\.commit.writes)) }
    }

    /// The broker's session is lost: what it has not answered is sent again to the next one. A step that it did carry out comes back as
    /// not held, and nothing happens twice.
    mutating func brokerLost() {
        stored = committing + stored
        committing = []
    }
}
