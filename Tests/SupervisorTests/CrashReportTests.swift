import CoppiceShared
import CoppiceSystem
import Testing

@testable import CoppiceSupervisor

/// A child whose runtime reports its crash. The black-box tests see the report; here is what takes too long for them.
@Suite struct CrashReportTests {
    /// A child that works, runs a task, and began to report so many seconds before `now`; when it is done with, it is reaped.
    private func inScene(reportingFor seconds: Double, _ body: (Pool, Child, _ now: MonotonicTime) throws -> Void) throws {
        let scene = try IntakeScene(concurrency: 1)
        let child = try #require(scene.slot.child)
        // A process that has not come to run yet would be forgiven its silence.
        _ = try Poll.wait([PollInterest(descriptor: child.process.pidfd.raw, events: .read)], until: .now.advanced(by: 20))
        _ = child.lifecycle.ready()
        child.beats = true
        child.lifecycle.handed(1)
        _ = child.lifecycle.started(1)
        let now = MonotonicTime.now
        scene.pool.lastTurn = now
        child.crashingSince = now.advanced(by: -seconds)
        try body(scene.pool, child, now)
        try scene.close()
    }

    @Test func neitherSilenceNorALimitIsHeldAgainstIt() throws {
        try inScene(reportingFor: 20) { pool, child, now in
            child.lastHeard = now.advanced(by: -20)
            child.hardDeadline = (now, 5)
            child.pledge = (now, 1)
            pool.deadlinesReached(now: now)
            #expect(!child.lifecycle.isKilled)
        }
    }

    @Test func aReportThatDoesNotEndIsCutOff() throws {
        try inScene(reportingFor: 31) { pool, child, now in
            pool.deadlinesReached(now: now)
            guard case .killed(.crashReport, let hand) = child.lifecycle.state else {
                Issue.record("\(child.lifecycle.state)")
                return
            }
            #expect(hand.running == 1)
        }
    }

    /// What it had written before may be read after the report's first line.
    @Test func onlyALaterFrameProvesThatItLives() throws {
        try inScene(reportingFor: 0.1) { pool, child, now in
            pool.noticeLife(of: child, now: now)
            #expect(child.crashingSince != nil)
        }
        try inScene(reportingFor: 1) { pool, child, now in
            pool.noticeLife(of: child, now: now)
            #expect(child.crashingSince == nil)
            pool.live.backtraces = true
            pool.beginsReport(child, now: now)
            #expect(child.crashingSince == nil, "its word is not taken twice")
            // It is a child like any other again.
            child.lastHeard = now.advanced(by: -4)
            pool.deadlinesReached(now: now)
            #expect(child.lifecycle.isKilled)
        }
    }
}
