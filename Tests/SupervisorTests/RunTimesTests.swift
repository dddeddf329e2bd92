import Testing

@testable import CoppiceSupervisor

@Suite struct RunTimesTests {
    @Test func nothingIsToldOfNothing() {
        let times = RunTimes()
        #expect(times.percentile(0.5) == nil && times.json == nil)
    }

    @Test(arguments: [0.00001, 0.0042, 0.5, 7, 86_400]) func whatIsToldIsWithinATenth(seconds: Double) throws {
        var times = RunTimes()
        for _ in 0..<100 { times.add(seconds) }
        let told = try #require(times.percentile(0.5))
        #expect(abs(told - seconds) < seconds / 10)
    }

    @Test func sharesAreOfTheCount() throws {
        var times = RunTimes()
        for _ in 0..<94 { times.add(0.001) }
        for _ in 0..<6 { times.add(1) }
        #expect(try #require(times.percentile(0.94)) < 0.002)
        #expect(try #require(times.percentile(0.95)) > 0.9)
        #expect(times.count == 100)
    }

    @Test(arguments: [-1, 0, .infinity, .nan, 1e300]) func whatIsNoTimeDoesNoHarm(seconds: Double) throws {
        var times = RunTimes()
        times.add(seconds)
        #expect(try #require(times.percentile(1)).isFinite)
    }
}
