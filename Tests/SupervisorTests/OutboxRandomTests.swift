import CoppiceShared
import CoppiceTestSupport
import CoppiceTransport
import Testing

@testable import CoppiceSupervisor

/// An outbox whose connections come and go at any time, with the deliveries' owner on one side and the servers on the other.
@Suite struct OutboxRandomTests {
    /// The owner's and the servers' books.
    private struct World {
        let joined: Bool
        let takesSeveral: Bool
        var outbox = Outbox()
        var broker: FakeBroker?
        var store: FakeStore?
        /// Deliveries whose start was added and whose end was not.
        var started: [Delivery] = []
        var count = 0
        /// Steps in the order of adding, by their keys, without what was dropped.
        var added: [Int] = []
        var dropped: Set<Int> = []
        /// The keys of progress.
        var progressed: Set<Int> = []
        /// What the owner was told, in order.
        var confirmed: [Int] = []
        /// What the store has confirmed.
        var stored: Set<Int> = []
        /// What each connection so far was given.
        var sent: [[Int]] = []
        /// A sentence for what is wrong.
        var complaint: String?

        init(_ store: Store) {
            joined = store == .joined
            takesSeveral = store == .takesSeveral
        }

        /// The key of a delivery's step: its number times ten, and which of its steps it is.
        private static func key(_ number: Int, _ step: Commit.Step) -> Int {
            number * 10 + (step == .startEarly ? 0 : step == .keep ? 1 : 2)
        }

        /// Whether each delivery's steps were confirmed in their order, none before it was added: the keys of one rise.
        var isInOrder: Bool {
            var last: [Int: Int] = [:]
            for key in confirmed {
                if let before = last[key / 10], before >= key { return false }
                last[key / 10] = key
            }
            return Set(added).isSuperset(of: confirmed)
        }

        private func record(_ key: Int) -> [ResultWrite] {
            // Not every step has one.
            key.isMultiple(of: 3) ? [] : [ResultWrite(ResultRecord(taskID: "\(key)", state: .started, result: [0x31]))]
        }

        private mutating func add(_ delivery: Delivery, _ step: Commit.Step, sendsOn: Bool = false) -> Int {
            let key = World.key(delivery.number, step)
            // With a store of its own a state on the way is nothing that the broker is told.
            if joined || step != .keep { added.append(key) }
            let message = TaskPublication(routingKey: "celery", headers: Array("{}".utf8), body: [])
            return outbox.add(delivery, step, writes: record(key), publications: sendsOn ? [message] : [])
        }

        mutating func start() {
            count += 1
            let delivery = Delivery.numbered(count)
            delivery.unsentStart = add(delivery, .startEarly)
            started.append(delivery)
        }

        mutating func progress(_ random: inout SeededGenerator) {
            // One for each delivery, so that its key is its own.
            guard let delivery = started.randomElement(using: &random), progressed.insert(World.key(delivery.number, .keep)).inserted
            else { return }
            _ = add(delivery, .keep)
        }

        mutating func end(_ random: inout SeededGenerator) {
            guard let index = started.indices.randomElement(using: &random) else { return }
            let delivery = started.remove(at: index)
            if let place = delivery.unsentStart {
                _ = outbox.withdraw(place)
                delivery.unsentStart = nil
                let key = World.key(delivery.number, .startEarly)
                dropped.insert(key)
                added.removeAll { $0 == key }
            }
            _ = add(delivery, .conclude, sendsOn: Bool.random(using: &random))
        }

        mutating func flush() {
            let brokerBefore = broker?.received.count ?? 0
            outbox.flush(broker: broker, store: store, joined: joined)
            if let broker {
                for commit in broker.received[brokerBefore...] where !joined {
                    let key = World.key(Int(commit.tag.value.dropFirst(4)) ?? -1, commit.step)
                    if !commit.writes.isEmpty { complaint = "a broker without a place for records was given one" }
                    if commit.step == .conclude, !record(key).isEmpty, !stored.contains(key) {
                        complaint = "\(key) was committed before its record stood"
                    }
                }
                let sending = broker.batches.filter { $0.commits.contains { !$0.publications.isEmpty } }
                if broker.batches.count - sending.count > 1 { complaint = "two batches that settle are under way" }
                if sending.contains(where: { $0.commits.contains { $0.publications.isEmpty } }) { complaint = "the lanes are mixed" }
            }
            if let store, store.batches.count > 1, !takesSeveral { complaint = "two batches are under way at the store" }
        }

        mutating func brokerAnswers(_ random: inout SeededGenerator) {
            guard let broker, let index = broker.batches.indices.randomElement(using: &random), let batch = broker.answer(index) else {
                return
            }
            let entries = outbox.committed(batch.number)
            if entries.map(\.commit.tag) != batch.commits.map(\.tag) { complaint = "the owner is told of another batch than was answered" }
            // A start that was dropped is sent all the same where its end has to wait for the store.
            confirmed += entries.map { World.key($0.delivery.number, $0.commit.step) }.filter { joined || !dropped.contains($0) }
        }

        mutating func storeAnswers(_ random: inout SeededGenerator) {
            guard let store, let index = store.batches.indices.randomElement(using: &random), let batch = store.answer(index) else {
                return
            }
            stored.formUnion(batch.writes.compactMap { Int($0.taskID) })
            outbox.recordsStored(batch.number)
        }

        mutating func toggleBroker() {
            if let broker {
                sent.append(broker.received.map { World.key(Int($0.tag.value.dropFirst(4)) ?? -1, $0.step) })
                self.broker = nil
                outbox.brokerLost()
            } else {
                broker = FakeBroker()
            }
        }

        mutating func toggleStore() {
            if let store {
                sent.append(store.received.compactMap { Int($0.taskID) })
                self.store = nil
            } else {
                let new = FakeStore(takesSeveral: takesSeveral)
                store = new
                outbox.storeReturned(new)
            }
        }

        /// Brings all connections back and lets everything arrive.
        mutating func settle(_ random: inout SeededGenerator) {
            if broker == nil { toggleBroker() }
            if store == nil, !joined { toggleStore() }
            for _ in 0..<400 {
                flush()
                storeAnswers(&random)
                brokerAnswers(&random)
            }
            toggleBroker()
            if !joined { toggleStore() }
        }
    }

    enum Store: CaseIterable { case joined, own, takesSeveral }

    @Test(arguments: Store.allCases) func everythingIsConfirmedOnceAndInOrder(store: Store) throws {
        var random = SeededGenerator()
        for _ in 0..<400 {
            var world = World(store)
            for _ in 0..<150 {
                switch Int.random(in: 0..<14, using: &random) {
                case 0...2: world.start()
                case 3: world.progress(&random)
                case 4, 5: world.end(&random)
                case 6...8: world.flush()
                case 9, 10: world.brokerAnswers(&random)
                case 11: world.storeAnswers(&random)
                case 12: if Bool.random(using: &random) { world.toggleBroker() }
                default: if store != .joined, Bool.random(using: &random) { world.toggleStore() }
                }
                try #require(world.isInOrder, "each delivery's in the order of adding: seed \(random.seed)")
                try #require(world.outbox.isEmpty || world.confirmed.count <= world.added.count, "seed \(random.seed)")
                if world.complaint != nil { break }
            }
            world.settle(&random)
            try #require(world.complaint == nil, "seed \(random.seed)")
            try #require(world.isInOrder && world.confirmed.sorted() == world.added.sorted(), "all of it, once: seed \(random.seed)")
            try #require(world.outbox.isEmpty, "seed \(random.seed)")
            for connection in world.sent {
                try #require(Set(connection).count == connection.count, "a connection is given nothing twice: seed \(random.seed)")
                try #require(
                    !world.joined || world.dropped.isDisjoint(with: connection), "what was dropped is not sent: seed \(random.seed)")
            }
        }
    }
}
