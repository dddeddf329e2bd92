import CoppiceTestSupport
import Testing

@testable import CoppiceSupervisor

/// Children that say anything at any time. A model keeps the books: where each assignment is.
@Suite struct ChildLifecycleRandomTests {
    private enum Place { case hand, done, returned, ended }

    private struct Books {
        var life = ChildLifecycle()
        var places: [UInt64: Place] = [:]
        var last: UInt64 = 0
        var firstReason: ChildLifecycle.KillReason?
        var hasEnded = false

        mutating func move(_ assignments: [UInt64], to place: Place) -> Bool {
            for assignment in assignments {
                guard places[assignment] == .hand else { return false }
                places[assignment] = place
            }
            return true
        }

        /// Mostly something that was handed out; now and then anything.
        func any(_ random: inout SeededGenerator) -> UInt64 {
            let hand = life.hand.assignments
            if let one = hand.randomElement(using: &random), Int.random(in: 0..<3, using: &random) > 0 { return one }
            return UInt64.random(in: 0...last + 1, using: &random)
        }
    }

    private static let reasons: [ChildLifecycle.KillReason] = [
        .neverReady(10), .neverBegan, .hardTimeLimit(1), .revoked, .silent, .protocolError("x"), .shutdown, .notWanted, .overstayed,
        .pledgeBroken(2),
        .crashReport,
    ]

    /// One random event; returns whether the books agree that each assignment moved from the hand, and only from there.
    private static func step(_ books: inout Books, _ random: inout SeededGenerator) -> Bool {
        switch Int.random(in: 0..<16, using: &random) {
        case 0, 1: _ = books.life.ready()
        case 2...5:
            guard books.life.isWorking else { return true }
            books.last += 1
            books.life.handed(books.last)
            books.places[books.last] = .hand
        case 6...8: _ = books.life.started(books.life.hand.assignments.first ?? books.any(&random))
        case 9...11:
            let assignment = books.any(&random)
            if books.life.done(assignment) == nil, !books.hasEnded { return books.move([assignment], to: .done) }
        case 12, 13:
            let assignments = (0..<Int.random(in: 0...3, using: &random)).map { _ in books.any(&random) }
            if books.life.returned(assignments) == nil, !books.hasEnded { return books.move(assignments, to: .returned) }
        case 14:
            if Bool.random(using: &random) {
                _ = books.life.stop()
            } else {
                let reason = reasons.randomElement(using: &random) ?? .silent
                if books.life.kill(reason) { books.firstReason = books.firstReason ?? reason }
            }
        default:
            guard !books.hasEnded, Int.random(in: 0..<6, using: &random) == 0 else { return true }
            let end = books.life.ended()
            books.hasEnded = true
            return end.killed == books.firstReason && books.move(end.hand.assignments, to: .ended)
        }
        return true
    }

    @Test func anAssignmentIsInExactlyOnePlace() throws {
        var random = SeededGenerator()
        for _ in 0..<1500 {
            var books = Books()
            for _ in 0..<60 {
                let before = books.life
                let agrees = Self.step(&books, &random)
                let hand = books.life.hand
                let expected = books.places.filter { $0.value == .hand }.keys.sorted()
                try #require(agrees && hand.assignments == expected, "the hand keeps the order of handing: seed \(random.seed)")
                try #require(!hand.isStarted || !hand.isEmpty, "seed \(random.seed)")
                if before.hand.isStarted, let running = before.hand.running, books.places[running] == .hand {
                    try #require(hand.running == running, "what runs is next until it is done: seed \(random.seed)")
                }
                if case .killed(let reason, _) = books.life.state { try #require(reason == books.firstReason, "seed \(random.seed)") }
                if books.hasEnded { try #require(books.life.state == .ended, "seed \(random.seed)") }
            }
        }
    }

    @Test func aComplaintChangesNothing() throws {
        var random = SeededGenerator()
        for _ in 0..<1500 {
            var books = Books()
            for _ in 0..<40 {
                _ = Self.step(&books, &random)
                let assignments = [books.any(&random), books.any(&random)]
                let frames: [(inout ChildLifecycle) -> ChildLifecycle.Complaint?] = [
                    { $0.ready() }, { $0.started(assignments[0]) }, { $0.done(assignments[0]) }, { $0.returned(assignments) },
                ]
                for frame in frames {
                    var life = books.life
                    if frame(&life) != nil || books.hasEnded { try #require(life == books.life, "seed \(random.seed)") }
                }
            }
        }
    }
}
