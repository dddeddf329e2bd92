import CoppiceShared
import CoppiceTransport
import Testing

@testable import CoppiceSupervisor

@Suite struct OutboxTests {
    private func write(_ number: Int) -> ResultWrite { ResultWrite(ResultRecord(taskID: "\(number)", state: .success, result: [0x31])) }

    private func ids(_ entries: [Outbox.Entry]) -> [Int] { entries.map(\.delivery.number) }
    private func tags(_ commits: [Commit]?) -> [String]? { commits?.map(\.tag.value) }

    @Test func oneBatchIsUnderWayAtATime() {
        var outbox = Outbox()
        let broker = FakeBroker(joinsResults: true)
        #expect(outbox.isEmpty)
        outbox.flush(broker: broker, store: nil, joined: true)
        #expect(broker.batches.isEmpty && !outbox.isUnderWay, "nothing is no batch")
        outbox.add(.numbered(1), .conclude, writes: [write(1)])
        outbox.add(.numbered(2), .conclude)
        outbox.flush(broker: broker, store: nil, joined: true)
        outbox.add(.numbered(3), .conclude)
        outbox.flush(broker: broker, store: nil, joined: true)
        #expect(broker.batches.map { tags($0) } == [["tag-1", "tag-2"]])
        #expect(broker.received.first?.writes == [write(1)], "joined: the records go with the step")
        #expect(outbox.isUnderWay)
        #expect(broker.answer() != nil && ids(outbox.committed()) == [1, 2])
        #expect(!outbox.isEmpty && !outbox.isUnderWay)
        outbox.flush(broker: broker, store: nil, joined: true)
        #expect(tags(broker.answer()) == ["tag-3"] && ids(outbox.committed()) == [3])
        #expect(outbox.isEmpty)
    }

    @Test func recordsStandBeforeTheCommit() {
        var outbox = Outbox()
        let broker = FakeBroker(joinsResults: false)
        let store = FakeStore()
        outbox.add(.numbered(1), .conclude, writes: [write(1)])
        outbox.flush(broker: broker, store: store, joined: false)
        #expect(store.batches == [[write(1)]] && broker.received.isEmpty)
        // What has no record waits its turn behind what has one.
        outbox.add(.numbered(2), .conclude)
        outbox.flush(broker: broker, store: store, joined: false)
        #expect(broker.received.isEmpty)
        _ = store.answer()
        outbox.recordsStored()
        outbox.flush(broker: broker, store: store, joined: false)
        #expect(tags(broker.received) == ["tag-1", "tag-2"])
        #expect(broker.received.allSatisfy { $0.writes.isEmpty }, "the broker has no place for them")
        #expect(store.received.count == 1)
    }

    @Test func theNextConnectionIsGivenWhatTheLastDidNotAnswer() {
        var outbox = Outbox()
        let first = FakeBroker(joinsResults: true)
        outbox.add(.numbered(1), .conclude)
        outbox.flush(broker: first, store: nil, joined: true)
        outbox.add(.numbered(2), .conclude)
        outbox.brokerLost()
        outbox.flush(broker: nil, store: nil, joined: true)
        #expect(!outbox.isEmpty)
        let second = FakeBroker(joinsResults: true)
        outbox.flush(broker: second, store: nil, joined: true)
        #expect(tags(second.received) == ["tag-1", "tag-2"])
        #expect(ids(outbox.committed()) == [1, 2] && outbox.isEmpty)
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
        outbox.recordsStored()
        outbox.flush(broker: nil, store: second, joined: false)
        #expect(second.received == [write(1), write(2)])
        let third = FakeStore()
        outbox.recordsStored()
        outbox.storeReturned(third)
        #expect(third.received.isEmpty, "all is confirmed")
    }

    @Test(arguments: [false, true]) func aStartThatItsEndOvertakesIsNotSent(joined: Bool) {
        var outbox = Outbox()
        let (broker, store) = (FakeBroker(joinsResults: joined), FakeStore())
        let delivery = Delivery.numbered(1)
        delivery.unsentStart = outbox.add(delivery, .startEarly)
        outbox.flush(broker: nil, store: nil, joined: joined)
        #expect(delivery.unsentStart != nil, "nobody was there to send it to")
        if let place = delivery.unsentStart { outbox.drop(place) }
        outbox.add(delivery, .conclude)
        outbox.flush(broker: broker, store: store, joined: joined)
        #expect(broker.received.map(\.step) == [.conclude])
        #expect(ids(outbox.committed()) == [1] && outbox.isEmpty)

        let other = Delivery.numbered(2)
        other.unsentStart = outbox.add(other, .startEarly)
        outbox.flush(broker: broker, store: store, joined: joined)
        #expect(other.unsentStart == nil, "it is sent: too late to take it back")
        #expect(broker.received.last?.step == .startEarly)
    }
}
