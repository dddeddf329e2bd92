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

    @Test(arguments: [-8e-9, -1e10, -1e300, -.infinity]) func nothingIsBeforeTheBeginning(_ seconds: Double) {
        #expect(MonotonicTime(nanoseconds: 7).advanced(by: seconds).nanoseconds == 0)
    }
}
