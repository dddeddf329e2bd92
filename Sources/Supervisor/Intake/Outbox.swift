import CoppiceResults
import CoppiceShared
import CoppiceTransport

/// What has to reach the store and the broker: kept until both have confirmed it, over lost connections; one delivery's steps in order.
///
/// One batch is under way at the store, and one in each lane at the broker; what comes up meanwhile makes the next, so that batches grow
/// with the load by themselves. Where the broker's session joins results a batch is one atomic commit; else its records are stored first
/// and the commit follows when they stand.
///
/// Its bound is `Intake`'s: deliveries are taken only while few are unsettled, each has but a few steps here, and nothing is handed
/// out above `mostBytes`.
struct Outbox {
    /// One delivery's step.
    struct Entry {
        let delivery: Delivery
        var commit: Commit
        /// A session that is lost was given it, too, and may have carried it out.
        var isReplay = false
    }

    /// A broker may refuse publications for as long as it likes, for want of memory or since a queue is full. What sends something on has a
    /// lane of its own, so that nothing else waits for it.
    private struct Lane {
        /// Whose records stand, and whose commit waits for its turn.
        var waiting: [Entry] = []
        /// What the broker has not answered, and the batch's number.
        var underWay: [Entry] = []
        var batch: UInt64 = 0

        var isEmpty: Bool { waiting.isEmpty && underWay.isEmpty }

        mutating func brokerLost() {
            for index in underWay.indices { underWay[index].isReplay = true }
            waiting = underWay + waiting
            underWay = []
        }
    }

    /// Bytes of records and of what is sent on above which no more work is begun.
    static let mostBytes = 256 << 20

    private var pending: [Entry?] = []
    /// Whose records are on their way to a store of its own.
    private var storing: [Entry] = []
    private var settling = Lane()
    private var publishing = Lane()
    private var lastBatch: UInt64 = 0
    private var bytes = 0

    var isEmpty: Bool { pending.isEmpty && storing.isEmpty && settling.isEmpty && publishing.isEmpty }

    /// Whether the broker has yet to answer a batch that it can answer at once.
    var isUnderWay: Bool { !settling.underWay.isEmpty }

    /// Whether so much waits here that nothing may be begun that would add to it.
    var isFull: Bool { bytes > Outbox.mostBytes }

    /// Adds a step; returns its place for `replace` and `withdraw`.
    @discardableResult
    mutating func add(
        _ delivery: Delivery, _ step: Commit.Step, attempt: AttemptNote? = nil, writes: [ResultWrite] = [],
        publications: [TaskPublication] = []
    ) -> Int {
        let commit = Commit(
            delivery.tag, queue: delivery.queue, step, taskID: delivery.message.id, attempt: attempt, writes: writes,
            publications: publications)
        bytes += commit.size
        delivery.openSteps += 1
        pending.append(Entry(delivery: delivery, commit: commit))
        return pending.count - 1
    }

    /// Gives a step that has not been sent other records.
    mutating func replace(_ place: Int, writes: [ResultWrite]) {
        guard var entry = pending[place] else { return }
        bytes -= entry.commit.size
        entry.commit.writes = writes
        bytes += entry.commit.size
        pending[place] = entry
    }

    /// Takes a step back that has not been sent; returns its records.
    mutating func withdraw(_ place: Int) -> [ResultWrite] {
        guard let entry = pending[place] else { return [] }
        pending[place] = nil
        entry.delivery.openSteps -= 1
        bytes -= entry.commit.size
        return entry.commit.writes
    }

    /// Sends what can be sent. `broker` and `store` are nil while they are away; `store` is not asked for where results are joined.
    mutating func flush(broker: (any BrokerSession)?, store: (any ResultStore)?, joined: Bool) {
        if joined {
            if broker != nil { sort(takePending()) }
        } else if let store, storing.isEmpty, !pending.isEmpty {
            let batch = takePending()
            let writes = batch.flatMap(\.commit.writes)
            if writes.isEmpty {
                sort(batch)
            } else {
                storing = batch
                store.store(writes)
            }
        }
        guard let broker else { return }
        if settling.underWay.isEmpty, !settling.waiting.isEmpty {
            swap(&settling.underWay, &settling.waiting)
            settling.batch = send(settling.underWay, to: broker)
        }
        if publishing.underWay.isEmpty, !publishing.waiting.isEmpty {
            // What sends something on ends its delivery: it follows when all that came before it is answered.
            publishing.underWay = publishing.waiting.filter { $0.delivery.openSteps == 1 }
            publishing.waiting.removeAll { $0.delivery.openSteps == 1 }
            if !publishing.underWay.isEmpty { publishing.batch = send(publishing.underWay, to: broker) }
        }
    }

    private mutating func send(_ entries: [Entry], to broker: any BrokerSession) -> UInt64 {
        lastBatch += 1
        broker.commit(entries.map(\.commit), as: lastBatch)
        return lastBatch
    }

    private mutating func takePending() -> [Entry] {
        let batch = pending.compactMap(\.self)
        for entry in batch {
            entry.delivery.unsentStart = nil
            entry.delivery.unsentProgress = nil
        }
        pending.removeAll(keepingCapacity: true)
        return batch
    }

    /// Gives each step whose records stand, or go with it, its lane.
    private mutating func sort(_ entries: [Entry]) {
        for entry in entries {
            if entry.commit.publishes {
                publishing.waiting.append(entry)
            } else {
                settling.waiting.append(entry)
            }
        }
    }

    /// The store has confirmed the batch.
    mutating func recordsStored() {
        for index in storing.indices {
            bytes -= storing[index].commit.size
            storing[index].commit.writes = []
            bytes += storing[index].commit.size
        }
        sort(storing)
        storing = []
    }

    /// The broker has answered a batch: what was in it. Nothing, if it was given to a session that is lost.
    mutating func committed(_ batch: UInt64) -> [Entry] {
        var answered: [Entry] = []
        if settling.batch == batch { swap(&answered, &settling.underWay) }
        if publishing.batch == batch { swap(&answered, &publishing.underWay) }
        for entry in answered {
            entry.delivery.openSteps -= 1
            bytes -= entry.commit.size
        }
        return answered
    }

    /// The store's connection is new: what the last one has not confirmed is sent again.
    func storeReturned(_ store: any ResultStore) {
        if !storing.isEmpty { store.store(storing.flatMap(\.commit.writes)) }
    }

    /// The broker's session is lost: what it has not answered is sent again to the next one. A step that it did carry out comes back as
    /// not held, and nothing happens twice.
    mutating func brokerLost() {
        settling.brokerLost()
        publishing.brokerLost()
    }
}

extension Commit {
    /// Whether the broker has to take a message for it, on whatever broker: parked and put behind the others, RabbitMQ's are sent anew.
    fileprivate var publishes: Bool {
        switch step {
        case .park, .putBack(front: false): true
        case .startEarly, .keep, .conclude, .putBack(front: true), .setAside: !publications.isEmpty
        }
    }

    /// Bytes of what it adds to the memory that its delivery takes.
    fileprivate var size: Int {
        writes.reduce(0) { $0 + $1.record.count } + publications.reduce(0) { $0 + $1.body.count }
    }
}
