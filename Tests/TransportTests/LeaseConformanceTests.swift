import CoppiceShared
import CoppiceSystem
import CoppiceTransport
import Testing

/// What every broker session does about nodes that die. A death takes its five seconds: these tests run side by side.
@Suite(.ownThread) struct LeaseConformanceTests {
    private func recovered(_ session: SessionSeat) throws -> Int {
        try session.seat.next("recovered") { if case .recovered(let count) = $0 { count } else { nil } }
    }

    @Test(arguments: Broker.keepers) func whatADeadNodeHeldRunsAgainElsewhere(broker: Broker) throws {
        let scene = try BrokerScene(broker)
        try scene.send(["1", "2", "3", "4"])
        let dying = try scene.session()
        let held = try dying.take(3)
        #expect(try dying.commit(held[0], .keep))
        #expect(try dying.commit(held[1], .startEarly))
        let heir = try scene.session()
        let start = MonotonicTime.now
        scene.stage.leave(dying.seat)
        #expect(try recovered(heir) == 2)
        #expect(MonotonicTime.now.seconds(since: start) > 4)
        let orphans = try heir.seat.next("orphaned") { if case .orphaned(let messages) = $0 { messages } else { nil } }
        #expect(orphans.map(\.id) == ["2"])
        #expect(orphans.map(\.queue) == ["celery"])
        let next = try heir.takeAll(3).map(\.id)
        #expect(next == ["1", "3", "4"], "in front, as they stood")
        let orphan = try #require(orphans.first)
        #expect(try heir.commit(orphan, .conclude, writes: [.named("2", .failure)]))
        #expect(try scene.state(of: "2") == "FAILURE")

        // It was not dead, only stopped: what it does now is void.
        scene.stage.enter(dying.seat)
        let verdicts = try dying.commit(held.map { Commit($0.tag, queue: $0.queue, .conclude, writes: [.named($0.id, .success)]) })
        #expect(verdicts == [false, false, false])
        #expect(try scene.state(of: "1") == nil)
        #expect(try dying.take(10).isEmpty)
    }

    @Test(arguments: Broker.keepers) func whoWasTakenForDeadIsToldWhatHasGone(broker: Broker) throws {
        let scene = try BrokerScene(broker)
        try scene.send(["1", "2", "3"])
        let stopped = try scene.session()
        let held = try stopped.take(3)
        #expect(try stopped.commit(held[0], .startEarly))
        let heir = try scene.session()
        let provenBefore = try #require(stopped.session.leaseProven)
        scene.stage.leave(stopped.seat)
        #expect(try recovered(heir) == 2)
        scene.stage.enter(stopped.seat)
        let gone = try stopped.seat.next("gone") { if case .gone(let tags) = $0 { tags } else { nil } }
        #expect(Set(gone) == Set(held[1...].map(\.tag)))
        #expect(try #require(stopped.session.leaseProven) > provenBefore)
        // It goes on as before, with what it takes from now on.
        try scene.send(["4"])
        let next = try #require(try stopped.takeAll(1).first)
        #expect(try stopped.commit(next, .conclude))
        #expect(stopped.seat.popFirst { if case .gone(let tags) = $0 { tags } else { nil } } == nil, "once")
    }

    @Test(arguments: Broker.keepers) func whoTakesBeforeItLooksIsToldWhatHasGone(broker: Broker) throws {
        let scene = try BrokerScene(broker)
        try scene.send(["1", "2"])
        let stopped = try scene.session()
        let held = try stopped.take(2)
        let heir = try scene.session()
        scene.stage.leave(stopped.seat)
        #expect(try recovered(heir) == 2)
        // What it asks for first is as good as a new beginning; what it had is gone all the same.
        stopped.session.take(upTo: 1)
        scene.stage.enter(stopped.seat)
        let gone = try stopped.seat.next("gone") { if case .gone(let tags) = $0 { tags } else { nil } }
        #expect(Set(gone) == Set(held.map(\.tag)))
    }

    @Test(arguments: Broker.keepers) func oneOfTwoHeirsGetsEachOrphan(broker: Broker) throws {
        let scene = try BrokerScene(broker)
        try scene.send(["1", "2", "3"])
        let dying = try scene.session()
        for message in try dying.take(3) { #expect(try dying.commit(message, .startEarly)) }
        let heirs = [try scene.session(), try scene.session()]
        scene.stage.leave(dying.seat)
        var orphans: [String] = []
        func collect() {
            for heir in heirs {
                while let found = heir.seat.popFirst({ if case .orphaned(let messages) = $0 { messages } else { nil } }) {
                    orphans += found.map(\.id)
                }
            }
        }
        try scene.stage.wait("orphans") {
            collect()
            return orphans.count >= 3 ? true : nil
        }
        try scene.stage.pass(seconds: 1.5)
        collect()
        #expect(orphans.sorted() == ["1", "2", "3"])
    }

    @Test(arguments: Broker.keepers) func anOrphanWhoseHeirDiesIsInheritedOnceMore(broker: Broker) throws {
        let scene = try BrokerScene(broker)
        try scene.send(["1"])
        let dying = try scene.session()
        #expect(try dying.commit(try #require(try dying.take(1).first), .startEarly))
        let heir = try scene.session()
        scene.stage.leave(dying.seat)
        try heir.seat.next("orphaned") { if case .orphaned = $0 { true } else { nil } }
        let last = try scene.session()
        scene.stage.leave(heir.seat)
        let orphans = try last.seat.next("orphaned") { if case .orphaned(let messages) = $0 { messages } else { nil } }
        #expect(orphans.map(\.id) == ["1"])
    }

    @Test(arguments: Broker.keepers) func anObserverThatSleptTakesNobodyForDead(broker: Broker) throws {
        let scene = try BrokerScene(broker)
        try scene.send(["1"])
        let holder = try scene.session()
        let held = try #require(try holder.take(1).first)
        let observer = try scene.session()
        try scene.stage.pass(seconds: 1.5)
        // Both stop, as in a suspended machine; the observer wakes first, and sees a counter that stood still for six seconds.
        scene.stage.leave(holder.seat)
        scene.stage.leave(observer.seat)
        try scene.stage.pass(seconds: 6)
        scene.stage.enter(observer.seat)
        try scene.stage.pass(seconds: 2)
        scene.stage.enter(holder.seat)
        try scene.stage.pass(seconds: 4)
        #expect(observer.seat.popFirst { if case .recovered(let count) = $0 { count } else { nil } } == nil)
        #expect(try holder.commit(held, .conclude))
    }

    @Test(arguments: Broker.keepers) func aNextSessionOfTheSameIncarnationStillHolds(broker: Broker) throws {
        let scene = try BrokerScene(broker)
        try scene.send(["1", "2", "3"])
        let incarnation = Incarnation()
        let first = try scene.session(incarnation: incarnation)
        let held = try first.take(2)
        #expect(try first.commit(held[0], .startEarly))
        scene.stage.leave(first.seat)
        let second = try scene.session(incarnation: incarnation, holding: held.map(\.tag))
        let other = try scene.session()
        try scene.stage.pass(seconds: 8)
        #expect(other.seat.popFirst { if case .recovered(let count) = $0 { count } else { nil } } == nil)
        for session in [second, other] {
            let harm = session.seat.popFirst { event -> String? in
                switch event {
                case .gone, .orphaned: "\(event)"
                default: nil
                }
            }
            #expect(harm == nil, "what runs is nobody's loss")
        }
        let next = try #require(try second.take(1).first)
        #expect(next.id == "3" && !held.map(\.tag).contains(next.tag))
        for message in held + [next] { #expect(try second.commit(message, .conclude)) }
    }

    @Test(arguments: Broker.keepers) func aNodeThatClosedIsNotMourned(broker: Broker) throws {
        let scene = try BrokerScene(broker)
        let session = try scene.session()
        #expect(try session.close() == "closed")
        #expect(session.session.interests.isEmpty && session.session.deadline == nil)
        session.session.close()
        #expect(session.session.takeEvents().isEmpty)
    }
}
