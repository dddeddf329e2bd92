import CoppiceTestSupport
import Testing

@testable import CoppiceSupervisor

@Suite struct ReloadLifecycleTests {
    enum Event: CaseIterable { case ready, failed, complete, abandoned }

    private static let states: [ReloadLifecycle.State] = [.resting, .trying, .replacing, .returning("first")]

    /// A reload in this state, by the shortest way.
    private static func make(_ state: ReloadLifecycle.State) -> ReloadLifecycle {
        var life = ReloadLifecycle()
        if state == .resting { return life }
        life.begins()
        if state == .trying { return life }
        _ = life.childReady()
        if case .returning(let reason) = state { _ = life.childFailed(reason) }
        return life
    }

    private static func apply(_ event: Event, to life: inout ReloadLifecycle) -> ReloadLifecycle.Action {
        switch event {
        case .ready: life.childReady()
        case .failed: life.childFailed("next")
        case .complete: life.isComplete()
        case .abandoned: life.abandon("stop")
        }
    }

    private static func failed(_ reason: String) -> ReloadLifecycle.Action { .end(.failed(reason)) }

    /// State × event: the next state, and what is to be done.
    @Test func everyEventInEveryState() {
        let table: [[(ReloadLifecycle.State, ReloadLifecycle.Action)]] = [
            [(.resting, .none), (.resting, .none), (.resting, .none), (.resting, .none)],
            [
                (.replacing, .adopt), (.resting, Self.failed("next; nothing has changed")), (.trying, .none),
                (.resting, Self.failed("stop")),
            ],
            [(.replacing, .none), (.returning("next"), .restore), (.resting, .end(.done)), (.resting, Self.failed("stop"))],
            [
                (.returning("first"), .none),
                (.resting, Self.failed("first; on the way back: next; children of both generations go on")),
                (.resting, Self.failed("first; the children that were replaced are replaced back")), (.resting, Self.failed("stop")),
            ],
        ]
        for (state, row) in zip(Self.states, table) {
            for (event, expected) in zip(Event.allCases, row) {
                var life = Self.make(state)
                #expect(life.state == state && life.isUnderWay == (state != .resting))
                let action = Self.apply(event, to: &life)
                #expect(life.state == expected.0 && action == expected.1, "\(event) in \(state)")
            }
        }
    }

    /// Whatever happens: one end for each beginning, nothing adopted that was not tried, nothing restored that was not adopted.
    @Test func eachBeginningHasOneEnd() throws {
        var random = SeededGenerator()
        for _ in 0..<500 {
            var life = ReloadLifecycle()
            for _ in 0..<4 {
                life.begins()
                var actions: [ReloadLifecycle.Action] = []
                while life.isUnderWay {
                    let event = Event.allCases.randomElement(using: &random) ?? .abandoned
                    actions.append(Self.apply(event, to: &life))
                }
                let ends = actions.filter { if case .end = $0 { true } else { false } }
                try #require(ends.count == 1 && ends.first == actions.last, "seed \(random.seed)")
                let changes = actions.filter { $0 == .adopt || $0 == .restore }
                try #require([[], [.adopt], [.adopt, .restore]].contains(changes), "seed \(random.seed)")
                if ends.first == .end(.done) { try #require(changes == [.adopt], "seed \(random.seed)") }
            }
        }
    }
}
