import CoppiceShared
import CoppiceTestSupport
import Testing

@testable import CoppiceSupervisor

@Suite struct DeliveryLifecycleTests {
    enum Event: String, CaseIterable, Codable {
        case waits, becameReady, assigned, started, concluded, discarded, settled, void

        func apply(to life: inout DeliveryLifecycle) {
            switch self {
            case .waits: life.waits(until: DeliveryLifecycleTests.time)
            case .becameReady: life.becameReady()
            case .assigned: life.assigned(to: 3)
            case .started: life.started()
            case .concluded: life.concluded()
            case .discarded: life.discarded()
            case .settled: life.settled(held: true)
            case .void: life.settled(held: false)
            }
        }
    }

    static let time = WallTime(seconds: 1000)

    /// The ways to every state that there is.
    static let ways: [[Event]] = [
        [], [.waits], [.becameReady], [.becameReady, .assigned], [.becameReady, .assigned, .started],
        [.becameReady, .assigned, .started, .concluded], [.discarded],
        [.becameReady, .assigned, .started, .concluded, .settled], [.discarded, .void],
    ]

    /// What is legal after a way, with the state that follows. All else is the master's own mistake: a trap (`OutOfTurnTests`).
    static func legal(after way: [Event]) -> [Event: (DeliveryLifecycle.Progress, DeliveryLifecycle.Settlement)] {
        switch way.last {
        case nil: [.waits: (.waiting(until: time), .open), .becameReady: (.ready, .open), .discarded: (.discarded, .settling)]
        case .waits: [.becameReady: (.ready, .open), .discarded: (.discarded, .settling)]
        case .becameReady: [.assigned: (.assigned(slot: 3), .open), .discarded: (.discarded, .settling)]
        case .assigned:
            [.becameReady: (.ready, .open), .started: (.running(slot: 3), .open), .discarded: (.discarded, .settling)]
        case .started: [.concluded: (.concluded, .settling)]
        case .concluded: [.settled: (.concluded, .settled), .void: (.concluded, .void)]
        case .discarded: [.settled: (.discarded, .settled), .void: (.discarded, .void)]
        case .settled, .void: [:]
        }
    }

    static func make(_ way: [Event]) -> DeliveryLifecycle {
        var life = DeliveryLifecycle()
        for event in way { event.apply(to: &life) }
        return life
    }

    @Test(arguments: ways) func everyLegalEvent(_ way: [Event]) {
        for (event, expected) in Self.legal(after: way) {
            var life = Self.make(way)
            event.apply(to: &life)
            #expect(life.progress == expected.0 && life.settlement == expected.1, "\(event)")
        }
    }

    @Test func whatCountsAgainstTheWindow() {
        #expect(Self.ways.map { Self.make($0).isClaimed } == [true, true, true, true, false, false, false, false, false])
        #expect(Self.ways.map { Self.make($0).isRunning } == [false, false, false, false, true, false, false, false, false])
    }

    /// Claimed until it starts or is discarded, never again after; settlement leaves `open` once, and in this order.
    @Test func settlementOnlyGoesForward() {
        func rank(_ settlement: DeliveryLifecycle.Settlement) -> Int {
            switch settlement {
            case .open: 0
            case .settling: 1
            case .settled, .void: 2
            }
        }
        var random = SeededGenerator()
        for _ in 0..<2000 {
            var life = DeliveryLifecycle()
            var way: [Event] = []
            while let event = Self.legal(after: way).keys.sorted(by: { $0.rawValue < $1.rawValue }).randomElement(using: &random) {
                // A child may give it back, but not for ever.
                if way.count > 20, event == .becameReady || event == .assigned { break }
                let before = life
                event.apply(to: &life)
                way.append(event)
                #expect((0...1).contains(rank(life.settlement) - rank(before.settlement)), "seed \(random.seed)")
                #expect(before.isClaimed || !life.isClaimed, "seed \(random.seed)")
                let isOver = life.progress == .concluded || life.progress == .discarded
                #expect(isOver == (life.settlement != .open), "seed \(random.seed)")
            }
        }
    }
}
