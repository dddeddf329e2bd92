import CoppiceShared
import Testing

@Suite struct MonotonicTimeTests {
    @Test func whatFitsIsExact() {
        let time = MonotonicTime(nanoseconds: 5_000_000_000)
        #expect(time.advanced(by: 1.5).nanoseconds == 6_500_000_000)
        #expect(time.advanced(by: -1.5).nanoseconds == 3_500_000_000)
        #expect(time.advanced(by: 1.5).seconds(since: time) == 1.5)
    }

    @Test(arguments: [1e10, 1e300, .infinity, .nan]) func whatIsTooLateIsTheEndOfTime(_ seconds: Double) {
        #expect(MonotonicTime(nanoseconds: 7).advanced(by: seconds) == .distantFuture)
        #expect(MonotonicTime.distantFuture.advanced(by: 1) == .distantFuture)
    }

    @Test func theNextOfARhythmIsLaterAndInStep() {
        func next(_ nanoseconds: Int64, every interval: Double, phase: Double = 0) -> Int64 {
            MonotonicTime(nanoseconds: nanoseconds).next(every: interval, phase: phase).nanoseconds
        }
        #expect(next(5_300_000_000, every: 1) == 6_000_000_000)
        #expect(next(6_000_000_000, every: 1) == 7_000_000_000)
        #expect(next(5_300_000_000, every: 1, phase: 0.5) == 5_500_000_000)
        #expect(next(5_300_000_000, every: 1, phase: 0.25) == 6_250_000_000)
        // Before the first.
        #expect(next(1, every: 10, phase: 4) == 4_000_000_000)
        #expect(next(5, every: 0) == 6)
    }

    @Test(arguments: [-8e-9, -1e10, -1e300, -.infinity]) func nothingIsBeforeTheBeginning(_ seconds: Double) {
        #expect(MonotonicTime(nanoseconds: 7).advanced(by: seconds).nanoseconds == 0)
    }
}
