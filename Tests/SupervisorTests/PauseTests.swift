import CoppiceShared
import Testing

@testable import CoppiceSupervisor

/// The pauses between attempts: at a connection and at a child's start.
@Suite struct PauseTests {
    @Test func connectionsAreTriedAgainWithinASecond() {
        var backoff = Backoff()
        for round in 0..<3 {
            var bound = Backoff.first
            for _ in 0..<40 {
                let pause = backoff.next()
                #expect(pause <= bound && pause >= bound * 0.75, "round \(round)")
                bound = min(bound * 2, Backoff.cap)
            }
            backoff.stood(seconds: Backoff.proof)
        }
        #expect(Backoff.cap < 1)
    }

    @Test func aConnectionThatStandsAndFallsIsStillAFailure() {
        var backoff = Backoff()
        for _ in 0..<10 {
            _ = backoff.next()
            backoff.stood(seconds: 1)
        }
        #expect(backoff.next() >= Backoff.cap * 0.75)
        backoff.stood(seconds: 3600)
        #expect(backoff.next() <= Backoff.first)
    }

    @Test func childrenThatAreNeverReadyComeSlower() {
        var policy = RespawnPolicy()
        var now = MonotonicTime(nanoseconds: 5)
        #expect(policy.pause == 0 && policy.maySpawn(now: now) && !policy.isExhausted)
        var pauses: [Double] = []
        for failure in 1...12 {
            policy.startFailed(now: now)
            pauses.append(policy.pause)
            #expect(policy.failures == failure && policy.isExhausted == (failure >= RespawnPolicy.limit))
            // Another one that was started with it.
            policy.startFailed(now: now.advanced(by: policy.pause / 2))
            #expect(policy.failures == failure)
            #expect(!policy.maySpawn(now: now.advanced(by: policy.pause - 0.001)))
            now = now.advanced(by: policy.pause)
            #expect(policy.maySpawn(now: now))
        }
        #expect(pauses == [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 12.8, 25.6, 30, 30, 30])
        policy.startSucceeded()
        #expect(policy == RespawnPolicy())
    }
}
