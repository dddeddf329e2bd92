import CoppiceShared
import Testing

@testable import CoppiceTransport

/// When an observer takes another node for dead. Time is a number here.
@Suite struct LeaseObserverTests {
    /// Looks once per second; each look is answered at once unless told otherwise.
    private struct Watch {
        var observer = LeaseObserver()
        private(set) var now = MonotonicTime(nanoseconds: 7)

        mutating func look(_ counters: [String: String], after seconds: Double = 1, answer: Double = 0) -> [String] {
            now = now.advanced(by: seconds)
            let asked = now
            now = now.advanced(by: answer)
            return observer.look(counters, asked: asked, answered: now).map(\.incarnation).sorted()
        }
    }

    @Test func deadIsWhoseCounterStoodStillForFiveSeconds() {
        var watch = Watch()
        for _ in 0..<5 { #expect(watch.look(["a": "1", "b": "1"]).isEmpty) }
        #expect(watch.look(["a": "1", "b": "2"]) == ["a"])
        for _ in 0..<4 { #expect(watch.look(["a": "1", "b": "2"]).isEmpty, "told again only after another five seconds") }
        #expect(watch.look(["a": "1", "b": "2"]) == ["a", "b"])
    }

    @Test func theCounterOnWhichItRestsIsTold() {
        var observer = LeaseObserver()
        var deaths: [LeaseObserver.Death] = []
        for second in 0...5 {
            let now = MonotonicTime(nanoseconds: 0).advanced(by: Double(second))
            deaths += observer.look(["a": "17"], asked: now, answered: now)
        }
        #expect(deaths == [.init(incarnation: "a", counter: "17")])
    }

    @Test func whoCountsLives() {
        var watch = Watch()
        for beat in 0..<40 { #expect(watch.look(["a": "\(beat / 4)"]).isEmpty) }
        // Backwards is a change, too: somebody has written it.
        for beat in 0..<40 { #expect(watch.look(["a": "\(40 - beat / 4)"]).isEmpty) }
    }

    @Test func whoComesBackIsNew() {
        var watch = Watch()
        for _ in 0..<5 { _ = watch.look(["a": "1"]) }
        #expect(watch.look([:]).isEmpty)
        for _ in 0..<5 { #expect(watch.look(["a": "1"]).isEmpty) }
        #expect(watch.look(["a": "1"]) == ["a"])
    }

    @Test func afterAPauseOfOursObservationBeginsAnew() {
        var watch = Watch()
        for _ in 0..<5 { _ = watch.look(["a": "1"]) }
        #expect(watch.look(["a": "1"], after: 2.6).isEmpty)
        for _ in 0..<4 { #expect(watch.look(["a": "1"]).isEmpty) }
        #expect(watch.look(["a": "1"]) == ["a"])
    }

    @Test func anAnswerThatTookLongSaysNothing() {
        var watch = Watch()
        for _ in 0..<5 { _ = watch.look(["a": "1"]) }
        #expect(watch.look(["a": "1"], answer: 2.6).isEmpty)
        for _ in 0..<4 { #expect(watch.look(["a": "1"]).isEmpty) }
        #expect(watch.look(["a": "1"]) == ["a"])
    }

    @Test func shortDelaysAreNoInterruption() {
        var watch = Watch()
        #expect(watch.look(["a": "1"]).isEmpty)
        #expect(watch.look(["a": "1"], after: 1.2, answer: 1.2).isEmpty)
        #expect(watch.look(["a": "1"], after: 1.2, answer: 1.2).isEmpty)
        #expect(watch.look(["a": "1"], after: 1.2, answer: 1.2) == ["a"])
    }
}
