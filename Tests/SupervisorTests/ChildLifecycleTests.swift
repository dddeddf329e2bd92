import CoppiceTestSupport
import Testing

@testable import CoppiceSupervisor

/// Every event in every state. What a child may get wrong is an answer; what the master itself may not do is in `OutOfTurnTests`.
@Suite struct ChildLifecycleTests {
    typealias Hand = ChildLifecycle.Hand

    /// The hand with 1 running and 2 and 3 behind it.
    private static let full = Hand(assignments: [1, 2, 3], isStarted: true)
    private static let waiting = Hand(assignments: [1, 2, 3], isStarted: false)

    enum Phase: CaseIterable { case starting, working, stopping, killed, killedEarly, ended }

    /// A child in this phase; with a hand where the phase has one.
    private static func make(_ phase: Phase, started: Bool = true) -> ChildLifecycle {
        var life = ChildLifecycle()
        if phase == .starting { return life }
        if phase == .killedEarly {
            _ = life.kill(.neverReady(10))
            return life
        }
        _ = life.ready()
        for assignment: UInt64 in 1...3 { life.handed(assignment) }
        if started { _ = life.started(1) }
        switch phase {
        case .starting, .killedEarly, .working: break
        case .stopping: _ = life.stop()
        case .killed: _ = life.kill(.silent)
        case .ended: _ = life.ended()
        }
        return life
    }

    private static func state(_ phase: Phase, _ hand: Hand) -> ChildLifecycle.State {
        switch phase {
        case .starting: .starting
        case .working: .working(hand)
        case .stopping: .stopping(hand)
        case .killed: .killed(.silent, hand)
        case .killedEarly: .killed(.neverReady(10), Hand())
        case .ended: .ended
        }
    }

    @Test func onlyTheNextMayBeCalled() {
        #expect(Self.make(.working, started: false).isNext(1))
        #expect(!Self.make(.working, started: false).isNext(2))
        #expect(!Self.make(.working).isNext(1) && !Self.make(.starting).isNext(1) && !Self.make(.ended).isNext(1))
    }

    @Test(arguments: Phase.allCases) func whatIsAsked(_ phase: Phase) {
        let life = Self.make(phase)
        #expect(life.state == Self.state(phase, Self.full))
        #expect(life.hand == (phase == .working || phase == .stopping || phase == .killed ? Self.full : Hand()))
        #expect(life.isStarting == (phase == .starting))
        #expect(life.isWorking == (phase == .working))
        #expect(life.isKilled == (phase == .killed || phase == .killedEarly))
        #expect(life.isRunning(1) == !life.hand.isEmpty && !life.isRunning(2))
    }

    @Test(arguments: Phase.allCases) func ready(_ phase: Phase) {
        var life = Self.make(phase)
        let before = life
        let complaint = life.ready()
        switch phase {
        case .starting: #expect(complaint == nil && life.state == .working(Hand()))
        case .working, .stopping: #expect(complaint != nil && life == before)
        // It may have been written before the signal came: no complaint, and nothing changes.
        case .killed, .killedEarly, .ended: #expect(complaint == nil && life == before)
        }
    }

    /// A frame about the hand, the hand after it (nil: it is illegal), by whether the first assignment has been started.
    private struct Frame: CustomStringConvertible, Sendable {
        var description: String
        var ifWaiting: Hand?
        var ifRunning: Hand?
        var apply: @Sendable (inout ChildLifecycle) -> ChildLifecycle.Complaint?
    }

    private static let frames: [Frame] = [
        Frame(description: "started 1", ifWaiting: full, ifRunning: nil) { $0.started(1) },
        Frame(description: "started 2", ifWaiting: nil, ifRunning: nil) { $0.started(2) },
        Frame(description: "started 9", ifWaiting: nil, ifRunning: nil) { $0.started(9) },
        Frame(description: "done 1", ifWaiting: nil, ifRunning: Hand(assignments: [2, 3], isStarted: false)) { $0.done(1) },
        Frame(description: "done 2", ifWaiting: nil, ifRunning: nil) { $0.done(2) },
        Frame(description: "done 9", ifWaiting: nil, ifRunning: nil) { $0.done(9) },
        Frame(description: "returned nothing", ifWaiting: waiting, ifRunning: full) { $0.returned([]) },
        Frame(
            description: "returned 3 and 2", ifWaiting: Hand(assignments: [1], isStarted: false),
            ifRunning: Hand(assignments: [1], isStarted: true)
        ) { $0.returned([3, 2]) },
        Frame(description: "returned all", ifWaiting: Hand(), ifRunning: nil) { $0.returned([1, 2, 3]) },
        Frame(description: "returned all, the first last", ifWaiting: Hand(), ifRunning: nil) { $0.returned([2, 3, 1]) },
        Frame(description: "returned 2 twice", ifWaiting: nil, ifRunning: nil) { $0.returned([2, 2]) },
        Frame(description: "returned 2 and 9", ifWaiting: nil, ifRunning: nil) { $0.returned([2, 9]) },
    ]

    @Test(arguments: Phase.allCases, [false, true]) func framesAboutTheHand(_ phase: Phase, started: Bool) {
        for frame in Self.frames {
            var life = Self.make(phase, started: started)
            let before = life
            let complaint = frame.apply(&life)
            switch phase {
            case .starting: #expect(complaint != nil && life == before, "\(frame)")
            case .ended: #expect(complaint == nil && life == before, "\(frame)")
            case .killedEarly:
                // It was never given anything; an empty return is none.
                #expect((complaint == nil) == (frame.description == "returned nothing") && life == before, "\(frame)")
            case .working, .stopping, .killed:
                if let hand = started ? frame.ifRunning : frame.ifWaiting {
                    #expect(complaint == nil && life.state == Self.state(phase, hand), "\(frame)")
                } else {
                    #expect(complaint != nil && life == before, "\(frame)")
                }
            }
        }
    }

    @Test(arguments: Phase.allCases) func stop(_ phase: Phase) {
        var life = Self.make(phase)
        let before = life
        if phase == .working {
            #expect(life.stop() && life.state == .stopping(Self.full))
        } else {
            #expect(!life.stop() && life == before)
        }
    }

    @Test(arguments: Phase.allCases) func kill(_ phase: Phase) {
        var life = Self.make(phase)
        let before = life
        switch phase {
        case .starting: #expect(life.kill(.shutdown) && life.state == .killed(.shutdown, Hand()))
        case .working, .stopping: #expect(life.kill(.shutdown) && life.state == .killed(.shutdown, Self.full))
        case .killed, .killedEarly, .ended: #expect(!life.kill(.shutdown) && life == before)
        }
    }

    @Test func handed() {
        var life = ChildLifecycle()
        _ = life.ready()
        life.handed(7)
        life.handed(8)
        #expect(life.state == .working(Hand(assignments: [7, 8], isStarted: false)))
        #expect(life.hand.running == nil && Array(life.hand.waiting) == [7, 8])
        #expect(life.started(7) == nil)
        #expect(life.hand.running == 7 && Array(life.hand.waiting) == [8])
    }

    /// What was written before the signal came is read behind it.
    @Test func whatBeganBehindTheTaskThatItWasKilledForIsNotMeant() {
        let reasons: [(ChildLifecycle.KillReason, hitsAnother: Bool)] = [
            (.revoked, true), (.hardTimeLimit(1), true), (.pledgeBroken(1), true), (.overMemory(1), true), (.silent, false),
            (.shutdown, false),
        ]
        for (reason, hitsAnother) in reasons {
            var life = ChildLifecycle()
            _ = life.ready()
            life.handed(7)
            life.handed(8)
            _ = life.started(7)
            _ = life.kill(reason)
            var meant = life
            #expect(!meant.ended().hitAnother, "\(reason)")
            _ = life.done(7)
            var between = life
            #expect(!between.ended().hitAnother, "\(reason)")
            _ = life.started(8)
            #expect(life.ended().hitAnother == hitsAnother, "\(reason)")
        }
    }

    @Test(arguments: Phase.allCases.filter { $0 != .ended }) func ended(_ phase: Phase) {
        var life = Self.make(phase)
        let end = life.ended()
        #expect(life.state == .ended && life.hand.isEmpty)
        let expected: ChildLifecycle.End =
            switch phase {
            case .starting, .ended: .init(killed: nil, wasStopping: false, wasReady: false, hand: Hand())
            case .working: .init(killed: nil, wasStopping: false, wasReady: true, hand: Self.full)
            case .stopping: .init(killed: nil, wasStopping: true, wasReady: true, hand: Self.full)
            case .killed: .init(killed: .silent, wasStopping: false, wasReady: true, hand: Self.full, target: Self.full.running)
            case .killedEarly: .init(killed: .neverReady(10), wasStopping: false, wasReady: false, hand: Hand())
            }
        #expect(end == expected)
    }
}
