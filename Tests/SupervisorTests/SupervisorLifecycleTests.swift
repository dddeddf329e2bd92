import CoppiceTestSupport
import Testing

@testable import CoppiceSupervisor

@Suite struct SupervisorLifecycleTests {
    enum Event: CaseIterable {
        case becameReady, drainWarm, drainSoft, drainCold, finished
    }

    private static let states: [SupervisorLifecycle.State] = [
        .booting, .running, .draining(.warm), .draining(.soft), .draining(.cold), .finished(0),
    ]

    /// A master in this state, by the shortest way.
    private static func make(_ state: SupervisorLifecycle.State) -> SupervisorLifecycle {
        var life = SupervisorLifecycle()
        switch state {
        case .booting: break
        case .running: _ = life.becameReady()
        case .draining(let mode): _ = life.drain(mode, exitCode: 0)
        case .finished: life.finished()
        }
        return life
    }

    private static func apply(_ event: Event, exitCode: Int32, to life: inout SupervisorLifecycle) -> Bool? {
        switch event {
        case .becameReady: return life.becameReady()
        case .drainWarm: return life.drain(.warm, exitCode: exitCode)
        case .drainSoft: return life.drain(.soft, exitCode: exitCode)
        case .drainCold: return life.drain(.cold, exitCode: exitCode)
        case .finished:
            life.finished()
            return nil
        }
    }

    /// State × event: the next state, and whether the event was news.
    @Test func everyEventInEveryState() {
        let table: [[(SupervisorLifecycle.State, Bool?)]] = [
            [(.running, true), (.draining(.warm), true), (.draining(.soft), true), (.draining(.cold), true), (.finished(0), nil)],
            [(.running, false), (.draining(.warm), true), (.draining(.soft), true), (.draining(.cold), true), (.finished(0), nil)],
            [
                (.draining(.warm), false), (.draining(.warm), false), (.draining(.soft), true), (.draining(.cold), true),
                (.finished(0), nil),
            ],
            [
                (.draining(.soft), false), (.draining(.soft), false), (.draining(.soft), false), (.draining(.cold), true),
                (.finished(0), nil),
            ],
            [
                (.draining(.cold), false), (.draining(.cold), false), (.draining(.cold), false), (.draining(.cold), false),
                (.finished(0), nil),
            ],
            [(.finished(0), false), (.finished(0), false), (.finished(0), false), (.finished(0), false), (.finished(0), nil)],
        ]
        for (state, row) in zip(Self.states, table) {
            for (event, expected) in zip(Event.allCases, row) {
                var life = Self.make(state)
                #expect(life.state == state)
                let news = Self.apply(event, exitCode: 0, to: &life)
                #expect(life.state == expected.0 && news == expected.1, "\(event) in \(state)")
            }
        }
    }

    @Test func whatAStateAllows() {
        let lives = Self.states.map(Self.make)
        #expect(lives.map(\.takesMessages) == [true, true, false, false, false, false])
        #expect(lives.map(\.isDraining) == [false, false, true, true, true, false])
        #expect(lives.map(\.drainMode) == [nil, nil, .warm, .soft, .cold, nil])
    }

    @Test func quietTakesNothingAndIsOverAtTheEnd() {
        for (state, mayChange) in zip(Self.states, [true, true, false, false, false, false]) {
            var life = Self.make(state)
            let takes = life.takesMessages
            // The second time is no news.
            #expect([life.quiet(true), life.quiet(true)] == [mayChange, false], "\(state)")
            #expect(life.isQuiet == mayChange && !life.takesMessages && life.state == state)
            #expect([life.quiet(false), life.quiet(false)] == [mayChange, false], "\(state)")
            #expect(!life.isQuiet && life.takesMessages == takes && life.state == state)
        }
        var life = Self.make(.booting)
        _ = life.quiet(true)
        // A quiet node becomes ready all the same.
        let isNews = life.becameReady()
        #expect(isNews && life.state == .running && life.isQuiet && !life.takesMessages)
    }

    @Test func theWorstExitCodeIsCarried() {
        var life = SupervisorLifecycle()
        _ = life.drain(.warm, exitCode: 1)
        _ = life.drain(.cold, exitCode: 0)
        life.finished()
        #expect(life.state == .finished(1))
    }

    private static func urgency(_ state: SupervisorLifecycle.State) -> Int {
        switch state {
        case .booting: 0
        case .running: 1
        case .draining(.warm): 2
        case .draining(.soft): 3
        case .draining(.cold): 4
        case .finished: 5
        }
    }

    @Test func urgencyAndExitCodeNeverFall() throws {
        var random = SeededGenerator()
        for _ in 0..<2000 {
            var life = SupervisorLifecycle()
            for _ in 0..<12 {
                let before = life
                // The end comes seldom, so that there is something before it.
                let event =
                    Int.random(in: 0..<8, using: &random) == 0 ? Event.finished : Event.allCases.dropLast().randomElement(using: &random)
                let code = Int32.random(in: 0...2, using: &random)
                let news = Self.apply(event ?? .becameReady, exitCode: code, to: &life)
                try #require(Self.urgency(life.state) >= Self.urgency(before.state), "seed \(random.seed)")
                try #require(life.exitCode >= before.exitCode, "seed \(random.seed)")
                if let news { try #require(news == (life.state != before.state), "seed \(random.seed)") }
                if case .finished(let code) = life.state, case .finished = before.state, event != .finished {
                    try #require(before.state == .finished(code), "seed \(random.seed)")
                }
            }
        }
    }
}
