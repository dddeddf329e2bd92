import CoppiceShared
import CoppiceTransport
import Testing

@testable import CoppiceSupervisor

@Suite struct OutboxTests {
    private func write(_ number: Int) -> ResultWrite { ResultWrite(ResultRecord(taskID: "\(number)", state: .success, result: [0x31])) }

    private func ids(_ entries: [Outbox.Entry]) -> [Int] { entries.map(\.delivery.number) }
    private func tags(_ commits: [Commit]) -> [String] { commits.map(\.tag.value) }

    /// The broker answers a batch: the deliveries that it was about.
    private func answer(_ broker: FakeBroker, _ index: Int = 0, to outbox: inout Outbox) -> [Int] {
        broker.answer(index).map { ids(outbox.committed($0.number)) } ?? []
    }

    /// The store confirms a batch.
    private func stored(_ store: FakeStore, _ index: Int = 0, in outbox: inout Outbox) {
        if let batch = store.answer(index) { outbox.recordsStored(batch.number) }
    }

    @Test func oneBatchIsUnderWayAtATime() {
        var outbox = Outbox()
        let broker = FakeBroker()
        #expect(outbox.isEmpty)
        outbox.flush(broker: broker, store: nil, joined: true)
        #expect(broker.batches.isEmpty && !outbox.isUnderWay, "nothing is no batch")
        outbox.add(.numbered(1), .conclude, writes: [write(1)])
        outbox.add(.numbered(2), .conclude)
        outbox.flush(broker: broker, store: nil, joined: true)
        outbox.add(.numbered(3), .conclude)
        outbox.flush(broker: broker, store: nil, joined: true)
        #expect(broker.batches.map { tags($0.commits) } == [["tag-1", "tag-2"]])
        #expect(broker.received.first?.writes == [write(1)], "joined: the records go with the step")
        #expect(outbox.isUnderWay)
        #expect(answer(broker, to: &outbox) == [1, 2])
        #expect(!outbox.isEmpty && !outbox.isUnderWay)
        outbox.flush(broker: broker, store: nil, joined: true)
        #expect(answer(broker, to: &outbox) == [3])
        #expect(outbox.isEmpty)
    }

    @Test func recordsStandBeforeTheCommit() {
        var outbox = Outbox()
        let broker = FakeBroker()
        let store = FakeStore()
        outbox.add(.numbered(1), .conclude, writes: [write(1)])
        outbox.flush(broker: broker, store: store, joined: false)
        #expect(store.batches == [[write(1)]] && broker.received.isEmpty)
        // What has no record does not wait for what has one.
        outbox.add(.numbered(2), .conclude)
        outbox.flush(broker: broker, store: store, joined: false)
        #expect(tags(broker.received) == ["tag-2"] && answer(broker, to: &outbox) == [2])
        stored(store, in: &outbox)
        outbox.flush(broker: broker, store: store, joined: false)
        #expect(tags(broker.received) == ["tag-2", "tag-1"])
        #expect(broker.received.allSatisfy { $0.writes.isEmpty }, "the broker has no place for them")
        #expect(store.received.count == 1)
    }

    @Test func theNextConnectionIsGivenWhatTheLastDidNotAnswer() {
        var outbox = Outbox()
        let first = FakeBroker()
        outbox.add(.numbered(1), .conclude)
        outbox.flush(broker: first, store: nil, joined: true)
        outbox.add(.numbered(2), .conclude)
        outbox.brokerLost()
        outbox.flush(broker: nil, store: nil, joined: true)
        #expect(!outbox.isEmpty)
        let second = FakeBroker()
        outbox.flush(broker: second, store: nil, joined: true)
        #expect(tags(second.received) == ["tag-1", "tag-2"])
        #expect(answer(first, to: &outbox).isEmpty, "the lost session has no say any more")
        #expect(answer(second, to: &outbox) == [1, 2] && outbox.isEmpty)
    }

    @Test func theNextStoreIsGivenWhatTheLastDidNotConfirm() {
        var outbox = Outbox()
        let first = FakeStore()
        outbox.add(.numbered(1), .conclude, writes: [write(1)])
        outbox.flush(broker: nil, store: first, joined: false)
        outbox.add(.numbered(2), .conclude, writes: [write(2)])
        let second = FakeStore()
        outbox.storeReturned(second)
        outbox.flush(broker: nil, store: second, joined: false)
        #expect(second.batches == [[write(1)]])
        stored(second, in: &outbox)
        outbox.flush(broker: nil, store: second, joined: false)
        #expect(second.received == [write(1), write(2)])
        let third = FakeStore()
        stored(second, in: &outbox)
        outbox.storeReturned(third)
        #expect(third.received.isEmpty, "all is confirmed")
    }

    @Test(arguments: [false, true]) func aStartThatItsEndOvertakesIsNotSent(joined: Bool) {
        var outbox = Outbox()
        let (broker, store) = (FakeBroker(), FakeStore())
        let delivery = Delivery.numbered(1)
        delivery.unsentStart = outbox.add(delivery, .startEarly)
        outbox.flush(broker: nil, store: nil, joined: joined)
        #expect(delivery.unsentStart != nil, "nobody was there to send it to")
        if let place = delivery.unsentStart { _ = outbox.withdraw(place) }
        outbox.add(delivery, .conclude)
        outbox.flush(broker: broker, store: store, joined: joined)
        #expect(broker.received.map(\.step) == [.conclude])
        #expect(answer(broker, to: &outbox) == [1] && outbox.isEmpty)

        let other = Delivery.numbered(2)
        other.unsentStart = outbox.add(other, .startEarly)
        outbox.flush(broker: broker, store: store, joined: joined)
        #expect(other.unsentStart == nil, "it is sent: too late to take it back")
        #expect(broker.received.last?.step == .startEarly)
    }

    private let message = TaskPublication(routingKey: "celery", headers: Array("{}".utf8), body: [])

    /// A RabbitMQ that is short of memory confirms no publication for as long as it is.
    @Test func whatSendsSomethingOnHoldsUpNothingElse() {
        var outbox = Outbox()
        let broker = FakeBroker()
        outbox.add(.numbered(1), .conclude, publications: [message])
        outbox.flush(broker: broker, store: nil, joined: true)
        #expect(tags(broker.received) == ["tag-1"] && !outbox.isUnderWay, "more may be taken meanwhile")
        outbox.add(.numbered(2), .park(until: WallTime(seconds: 0)))
        outbox.add(.numbered(3), .conclude)
        outbox.add(.numbered(4), .putBack(front: false))
        outbox.add(.numbered(5), .putBack(front: true))
        outbox.flush(broker: broker, store: nil, joined: true)
        #expect(broker.batches.map { tags($0.commits) } == [["tag-1"], ["tag-3", "tag-5"], ["tag-2", "tag-4"]])
        #expect(answer(broker, 1, to: &outbox) == [3, 5] && !outbox.isUnderWay && !outbox.isEmpty)
        #expect(answer(broker, 1, to: &outbox) == [2, 4], "nor what else sends something on")
        outbox.add(.numbered(6), .keep)
        outbox.flush(broker: broker, store: nil, joined: true)
        #expect(answer(broker, 1, to: &outbox) == [6])
        #expect(answer(broker, to: &outbox) == [1] && outbox.isEmpty)
    }

    @Test func anEndThatSendsSomethingOnWaitsForItsOwnStart() {
        var outbox = Outbox()
        let broker = FakeBroker()
        let (slow, other) = (Delivery.numbered(1), Delivery.numbered(2))
        outbox.add(slow, .startEarly)
        outbox.flush(broker: broker, store: nil, joined: true)
        outbox.add(slow, .conclude, publications: [message])
        outbox.add(other, .conclude, publications: [message])
        outbox.flush(broker: broker, store: nil, joined: true)
        #expect(broker.batches.map { tags($0.commits) } == [["tag-1"], ["tag-2"]])
        #expect(answer(broker, 1, to: &outbox) == [2])
        outbox.flush(broker: broker, store: nil, joined: true)
        #expect(broker.batches.map { tags($0.commits) } == [["tag-1"]], "its start is not answered")
        #expect(answer(broker, to: &outbox) == [1])
        outbox.flush(broker: broker, store: nil, joined: true)
        #expect(broker.received.last?.step == .conclude && answer(broker, to: &outbox) == [1] && outbox.isEmpty)
    }

    @Test(arguments: [false, true]) func howMuchWaitsIsKnownInBytes(joined: Bool) {
        var outbox = Outbox()
        let (broker, store) = (FakeBroker(), FakeStore())
        func big(_ number: Int) -> [ResultWrite] {
            [ResultWrite(ResultRecord(taskID: "\(number)", state: .success, result: [UInt8](repeating: 0x31, count: Outbox.mostBytes / 4)))]
        }
        for number in 1...3 { outbox.add(.numbered(number), .conclude, writes: big(number)) }
        let place = outbox.add(.numbered(4), .keep, writes: [write(4)])
        #expect(!outbox.isFull)
        outbox.replace(place, writes: big(4))
        #expect(outbox.isFull)
        outbox.replace(place, writes: [write(4)])
        #expect(!outbox.isFull)
        let other = outbox.add(.numbered(5), .keep, writes: big(5))
        #expect(outbox.isFull && outbox.withdraw(other) == big(5) && !outbox.isFull)
        outbox.add(.numbered(6), .conclude, writes: big(6))
        outbox.flush(broker: broker, store: store, joined: joined)
        #expect(outbox.isFull, "until it has been answered")
        stored(store, in: &outbox)
        outbox.flush(broker: broker, store: store, joined: joined)
        #expect(outbox.isFull == joined, "where it is stored it is not kept any more")
        #expect(answer(broker, to: &outbox) == (joined ? [1, 2, 3, 4, 6] : [1, 2, 3, 6]) && !outbox.isFull && outbox.isEmpty)
    }

    @Test func aReplayIsToldFromTheFirstTime() {
        var outbox = Outbox()
        let (first, second) = (FakeBroker(), FakeBroker())
        outbox.add(.numbered(1), .conclude)
        outbox.flush(broker: first, store: nil, joined: true)
        outbox.add(.numbered(2), .conclude)
        outbox.brokerLost()
        outbox.flush(broker: second, store: nil, joined: true)
        let entries = second.answer().map { outbox.committed($0.number) } ?? []
        #expect(entries.map(\.isReplay) == [true, false])
    }

    /// Over `rpc://` a record may wait for as long as RabbitMQ takes no publications.
    @Test func aRecordThatWaitsHoldsUpNothingButItsOwnEnd() {
        var outbox = Outbox()
        let (broker, store) = (FakeBroker(), FakeStore(takesSeveral: true))
        let slow = Delivery.numbered(1)
        outbox.add(slow, .startEarly, writes: [write(10)])
        outbox.flush(broker: broker, store: store, joined: false)
        #expect(broker.received.map(\.step) == [.startEarly] && broker.received.allSatisfy(\.writes.isEmpty))
        outbox.add(slow, .conclude, writes: [write(11)])
        outbox.add(.numbered(2), .conclude, writes: [write(2)])
        outbox.add(.numbered(3), .conclude)
        #expect(answer(broker, to: &outbox) == [1])
        outbox.flush(broker: broker, store: store, joined: false)
        #expect(store.batches == [[write(10)], [write(11)], [write(2)]])
        #expect(answer(broker, to: &outbox) == [3])
        stored(store, 2, in: &outbox)
        outbox.flush(broker: broker, store: store, joined: false)
        #expect(answer(broker, to: &outbox) == [2] && !outbox.isEmpty)
        stored(store, 1, in: &outbox)
        outbox.flush(broker: broker, store: store, joined: false)
        #expect(answer(broker, to: &outbox) == [1] && outbox.isEmpty, "its start's record is nothing to wait for")
    }

    /// What was begun early must not run again if the node dies in an alarm.
    @Test func whereEndsWaitAStartThatTheEndHadOvertakenIsSentAfterAll() {
        var outbox = Outbox()
        let (broker, store) = (FakeBroker(), FakeStore(takesSeveral: true))
        for number in 1...2 {
            let delivery = Delivery.numbered(number)
            let place = outbox.add(delivery, .startEarly, writes: [write(10)])
            outbox.add(delivery, .conclude, writes: outbox.withdraw(place) + [write(number)])
            outbox.flush(broker: broker, store: store, joined: false)
            #expect(store.batches.count == number)
            // Of the first one the store did not know yet that it would have to wait.
            store.isHeldUp = true
        }
        #expect(broker.received.map(\.step) == [.startEarly, .startEarly] && answer(broker, to: &outbox) == [1, 2])
        for _ in 1...2 { stored(store, in: &outbox) }
        outbox.flush(broker: broker, store: store, joined: false)
        #expect(broker.received.map(\.step) == [.startEarly, .startEarly, .conclude, .conclude])
        #expect(answer(broker, to: &outbox) == [1, 2] && outbox.isEmpty)
    }

    /// A task that tells of itself without end, while the store takes nothing.
    @Test(arguments: [false, true]) func ofStatesThatWaitTheStartAndTheNewestStay(isAway: Bool) {
        var outbox = Outbox()
        let (broker, store) = (FakeBroker(), FakeStore(takesSeveral: true))
        let delivery = Delivery.numbered(1)
        if !isAway {
            outbox.add(.numbered(2), .keep, writes: [write(0)])
            outbox.flush(broker: broker, store: store, joined: false)
        }
        for number in 1...100 {
            outbox.add(delivery, .keep, writes: [write(number)])
            outbox.flush(broker: broker, store: isAway ? nil : store, joined: false)
        }
        #expect(delivery.untoldStates == [write(1), write(100)] && delivery.openSteps == 0 && broker.received.isEmpty)
        outbox.add(delivery, .conclude, writes: [write(101)])
        outbox.flush(broker: broker, store: store, joined: false)
        #expect(store.batches.last?.map(\.record) == [write(1), write(100), write(101)].map(\.record))
        #expect(store.batches.last?.map(\.reach) == [.announce, .announce, .storeAndAnnounce])
        #expect(delivery.untoldStates.isEmpty)
    }
}
