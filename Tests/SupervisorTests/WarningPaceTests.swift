import CoppiceShared
import Testing

@testable import CoppiceSupervisor

@Suite struct WarningPaceTests {
    /// Which of these names, each at so many seconds, are warned of.
    private func due(_ asked: [(name: String, at: Double)]) -> [Bool] {
        var pace = WarningPace()
        let start = MonotonicTime.now
        return asked.map { pace.isDue($0.name, now: start.advanced(by: $0.at)) }
    }

    @Test func eachNameIsWarnedOfOnceAMinute() {
        #expect(due([("a", 0), ("b", 0), ("a", 59), ("a", 60), ("a", 119)]) == [true, true, false, true, false])
    }

    @Test func theNamesHaveABound() {
        let first = (0..<WarningPace.mostNames).map { ("\($0)", Double($0 % 2) * 30) }
        // Those of more than a minute ago make room, and the others keep their time.
        #expect(due(first + [("new", 61), ("1", 61)]).suffix(2) == [true, false])
        // Where all are of this minute they are forgotten.
        let second = (0..<WarningPace.mostNames).map { ("n\($0)", 62.0) }
        #expect(due(first + second + [("1", 62)]).last == true)
    }
}
