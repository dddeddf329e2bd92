import CoppiceResults
import CoppiceShared
import CoppiceTransport

/// What has to reach the store and the broker: kept until both have confirmed it, over lost connections; one delivery's steps in order.
///
/// Where the broker's session joins results a batch is one atomic commit. Else a step that ends its delivery follows when its records
/// stand. Nothing else waits for the store: a start is committed at once, and its STARTED, as progress, is stored as soon as may be; what is
/// still here when the end comes goes with that.
///
/// One batch is under way in the lane of what settles; what comes up meanwhile makes the next, so that batches grow with the load by
/// themselves. So it is at the store, unless that is better given each end by itself.
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
    /// lane of its own, so that nothing else waits for it, and several batches there, so that one queue does not stand before another.
    private struct Lane {
        /// Whose records stand, and whose commit waits for its turn.
        var waiting: [Entry] = []
        /// Batches that the broker has not answered, the oldest first.
        var underWay: [(number: UInt64, entries: [Entry])] = []

        var isEmpty: Bool { waiting.isEmpty && underWay.isEmpty }

        mutating func answered(_ batch: UInt64) -> [Entry] {
            underWay.firstIndex { $0.number == batch }.map { underWay.remove(at: $0).entries } ?? []
        }

        mutating func brokerLost() {
            var lost = underWay.flatMap(\.entries)
            for index in lost.indices { lost[index].isReplay = true }
            waiting = lost + waiting
            underWay = []
        }
    }

    /// Entries whose records a store of its own was given and has not confirmed.
    private struct Storing {
        let number: UInt64
        /// States on the way.
        var states: [ResultWrite]
        /// Ends, whose commits follow.
        var ends: [Entry]

        var writes: [ResultWrite] { states + ends.flatMap(\.commit.writes) }
    }

    /// Bytes of records and of what is sent on above which no more work is begun.
    static let mostBytes = 256 << 20

    private var pending: [Entry?] = []
    /// For a store of its own: ends that it has not been given, and deliveries with states that it has not been given.
    private var ended: [Entry] = []
    private var telling: [Delivery] = []
    private var storing: [Storing] = []
    private var settling = Lane()
    private var publishing = Lane()
    private var lastBatch: UInt64 = 0
    private var bytes = 0

    /// Whether nothing is left that settles something. A state on the way is no reason to wait.
    var isEmpty: Bool {
        pending.isEmpty && ended.isEmpty && storing.allSatisfy(\.ends.isEmpty) && settling.isEmpty && publishing.isEmpty
    }

    /// Whether the broker has yet to answer a batch that it can answer at once.
    var isUnderWay: Bool { !settling.underWay.isEmpty }

    /// Whether the broker has yet to confirm what is sent on.
    var isPublishing: Bool { !publishing.underWay.isEmpty }

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
        entry.delivery.isStartWithheld = entry.delivery.isStartWithheld || entry.commit.step == .startEarly
        bytes -= entry.commit.size
        return entry.commit.writes
    }

    /// Sends what can be sent. `broker` and `store` are nil while they are away; `store` is not asked for where results are joined.
    mutating func flush(broker: (any BrokerSession)?, store: (any ResultStore)?, joined: Bool) {
        if joined {
            if broker != nil { sort(takePending()) }
        } else if broker != nil || store != nil {
            for entry in takePending() { divide(entry) }
            if let store { give(to: store) }
            if store?.isHeldUp ?? true { commitStarts() }
        }
        guard let broker else { return }
        if settling.underWay.isEmpty, !settling.waiting.isEmpty {
            settling.underWay = [send(settling.waiting, to: broker)]
            settling.waiting.removeAll(keepingCapacity: true)
        }
        // A step that sends something on ends its delivery: it follows when all steps before it are answered.
        let sending = publishing.waiting.filter { $0.delivery.openSteps == 1 }
        if !sending.isEmpty {
            publishing.waiting.removeAll { $0.delivery.openSteps == 1 }
            publishing.underWay.append(send(sending, to: broker))
        }
    }

    private mutating func send(_ entries: [Entry], to broker: any BrokerSession) -> (UInt64, [Entry]) {
        lastBatch += 1
        broker.commit(entries.map(\.commit), as: lastBatch)
        return (lastBatch, entries)
    }

    /// Parts a step's records from its commit, where they go to different servers.
    private mutating func divide(_ entry: Entry) {
        var entry = entry
        let delivery = entry.delivery
        if entry.commit.endsDelivery {
            var overtaken = delivery.untoldStates
            forgetStates(of: delivery)
            if entry.commit.writes.isEmpty { return sort([entry]) }
            for index in overtaken.indices { overtaken[index].reach = .announce }
            entry.commit.writes = overtaken + entry.commit.writes
            bytes += Outbox.size(overtaken)
            ended.append(entry)
            return
        }
        for write in entry.commit.writes { tell(write, of: delivery) }
        bytes -= Outbox.size(entry.commit.writes)
        entry.commit.writes = []
        if entry.commit.step == .startEarly || entry.commit.attempt != nil {
            sort([entry])
        } else {
            delivery.openSteps -= 1
        }
    }

    /// The start, and the newest of what came after it.
    private mutating func tell(_ write: ResultWrite, of delivery: Delivery) {
        if delivery.untoldStates.isEmpty { telling.append(delivery) }
        if delivery.untoldStates.count > 1, let last = delivery.untoldStates.popLast() { bytes -= last.record.count }
        delivery.untoldStates.append(write)
        bytes += write.record.count
    }

    private mutating func forgetStates(of delivery: Delivery) {
        guard !delivery.untoldStates.isEmpty else { return }
        telling.removeAll { $0 === delivery }
        bytes -= Outbox.size(delivery.untoldStates)
        delivery.untoldStates = []
    }

    /// Where ends have to wait, what was begun early is acknowledged all the same: it must not run again if this node dies meanwhile.
    private mutating func commitStarts() {
        for entry in storing.flatMap(\.ends) + ended where entry.delivery.isStartWithheld {
            entry.delivery.isStartWithheld = false
            entry.delivery.openSteps += 1
            let commit = Commit(entry.commit.tag, queue: entry.commit.queue, .startEarly, taskID: entry.commit.taskID)
            settling.waiting.append(Entry(delivery: entry.delivery, commit: commit))
        }
    }

    private mutating func give(to store: any ResultStore) {
        if store.takesSeveral {
            // States on the way are the first to wait: what is new replaces what is old here.
            if storing.allSatisfy(\.states.isEmpty) { give(takeStates(), [], to: store) }
            for entry in ended { give([], [entry], to: store) }
        } else if storing.isEmpty {
            give(takeStates(), ended, to: store)
        } else {
            return
        }
        ended.removeAll(keepingCapacity: true)
    }

    private mutating func give(_ states: [ResultWrite], _ ends: [Entry], to store: any ResultStore) {
        guard !states.isEmpty || !ends.isEmpty else { return }
        lastBatch += 1
        let batch = Storing(number: lastBatch, states: states, ends: ends)
        storing.append(batch)
        store.store(batch.writes, as: batch.number)
    }

    private mutating func takeStates() -> [ResultWrite] {
        defer {
            for delivery in telling { delivery.untoldStates = [] }
            telling.removeAll(keepingCapacity: true)
        }
        return telling.flatMap(\.untoldStates)
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

    /// The store has confirmed a batch.
    mutating func recordsStored(_ batch: UInt64) {
        guard let index = storing.firstIndex(where: { $0.number == batch }) else { return }
        var stored = storing.remove(at: index)
        bytes -= Outbox.size(stored.writes)
        for index in stored.ends.indices { stored.ends[index].commit.writes = [] }
        sort(stored.ends)
    }

    /// The broker has answered a batch: what was in it. Nothing, if it was given to a session that is lost.
    mutating func committed(_ batch: UInt64) -> [Entry] {
        let answered = settling.answered(batch) + publishing.answered(batch)
        for entry in answered {
            entry.delivery.openSteps -= 1
            bytes -= entry.commit.size
        }
        return answered
    }

    /// The store's connection is new: what the last one has not confirmed is sent again.
    func storeReturned(_ store: any ResultStore) {
        for batch in storing { store.store(batch.writes, as: batch.number) }
    }

    fileprivate static func size(_ writes: [ResultWrite]) -> Int { writes.reduce(0) { $0 + $1.record.count } }

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

    /// Whether it is its delivery's last.
    fileprivate var endsDelivery: Bool {
        switch step {
        case .startEarly, .keep: false
        case .conclude, .putBack, .park, .setAside: true
        }
    }

    /// Bytes of what it adds to the memory that its delivery takes.
    fileprivate var size: Int {
        Outbox.size(writes) + publications.reduce(0) { $0 + $1.body.count }
    }
}
