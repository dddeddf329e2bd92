import CoppiceResults
import CoppiceShared
import CoppiceTransport
import DequeModule

/// What has to reach the store and the broker: kept until both have confirmed it, in order, over lost connections.
///
/// Steps of one turn go out as one batch. Where the broker's session joins results the batch is one atomic commit; else the records
/// are stored first and the commit follows when they stand. Its bound is the work that the master may hold.
struct Outbox {
    /// One delivery's step. A start that is overtaken by its own end in the same turn is dropped.
    struct Entry {
        let delivery: Delivery
        var commit: Commit
    }

    private var pending: [Entry?] = []
    /// Batches whose records are on their way to a store of its own.
    private var storing: Deque<[Entry]> = []
    /// Batches that wait for the broker's session to come back.
    private var stored: Deque<[Entry]> = []
    /// Batches that the broker has not answered.
    private var committing: Deque<[Entry]> = []

    var isEmpty: Bool { pending.isEmpty && storing.isEmpty && stored.isEmpty && committing.isEmpty }

    /// Adds a step; returns its place for `drop`.
    @discardableResult
    mutating func add(_ delivery: Delivery, _ step: Commit.Step, writes: [ResultWrite] = [], publications: [TaskPublication] = []) -> Int {
        pending.append(Entry(delivery: delivery, commit: Commit(delivery.tag, queue: delivery.queue, step, writes: writes, publications: publications)))
        return pending.count - 1
    }

    /// Takes a step back that has not been sent.
    mutating func drop(_ place: Int) { pending[place] = nil }

    /// Sends what can be sent. `broker` and `store` are nil while they are away; `store` is not asked for where results are joined.
    mutating func flush(broker: (any BrokerSession)?, store: (any ResultStore)?, joined: Bool) {
        if !pending.isEmpty {
            let batch = pending.compactMap(\.self)
            for entry in batch { entry.delivery.unsentStart = nil }
            if joined {
                if broker == nil { return }
                pending.removeAll(keepingCapacity: true)
                stored.append(batch)
            } else {
                guard let store else { return }
                pending.removeAll(keepingCapacity: true)
                let writes = batch.flatMap(\.commit.writes)
                if writes.isEmpty, storing.isEmpty {
                    stored.append(batch)
                } else {
                    storing.append(batch)
                    store.store(writes)
                }
            }
        }
        guard let broker else { return }
        while let batch = stored.popFirst() {
            committing.append(batch)
            broker.commit(batch.map(\.commit))
        }
    }

    /// The store has confirmed the oldest batch.
    mutating func recordsStored() {
        guard var batch = storing.popFirst() else { return }
        for index in batch.indices { batch[index].commit.writes = [] }
        stored.append(batch)
    }

    /// The broker has answered the oldest batch.
    mutating func committed() -> [Entry] { committing.popFirst() ?? [] }

    /// The store's connection is new: what it has not confirmed is sent again.
    mutating func storeReturned(_ store: any ResultStore) {
        for batch in storing { store.store(batch.flatMap(\.commit.writes)) }
    }

    /// The broker's session is lost: what it has not answered is sent again to the next one. A step that it did carry out comes back as
    /// not held, and nothing happens twice.
    mutating func brokerLost() {
        while let batch = committing.popLast() { stored.prepend(batch) }
    }
}
