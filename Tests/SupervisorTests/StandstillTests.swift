import CoppiceShared
import CoppiceSystem
import Testing

@testable import CoppiceSupervisor

/// A master that was itself stopped, or starved, kills nobody when it wakes.
@Suite struct StandstillTests {
    /// A working child with one task in its hand, after all of whose deadlines the master wakes.
    private func wake(after pause: Double, _ prepare: (Child, MonotonicTime) -> Void, _ check: (Pool, Child) -> Void) throws {
        let scene = try IntakeScene(concurrency: 1)
        let (pool, slot) = (scene.pool, scene.slot)
        let child = try #require(slot.child)
        // A process that wants to run is given time, whatever the master did.
        while ProcessStatus.wantsProcessor(child.process.pid) {}
        let now = MonotonicTime.now
        child.lastHeard = now.advanced(by: -pause)
        prepare(child, now.advanced(by: -pause))
        pool.lastTurn = now.advanced(by: -pause)
        pool.deadlinesReached(now: now)
        check(pool, child)
        for corpse in pool.corpses { corpse.process.discard() }
        try scene.close()
    }

    private func isAlive(_ child: Child) -> Bool { !child.lifecycle.isKilled }

    @Test func aChildThatStarts() throws {
        func prepare(_ child: Child, _ then: MonotonicTime) { child.startDeadline = then.advanced(by: 0.5) }
        try wake(after: 4, prepare) { #expect(isAlive($1)) }
        try wake(after: 1, prepare) { #expect(!isAlive($1)) }
    }

    @Test func silence() throws {
        func prepare(_ child: Child, _ then: MonotonicTime) {
            _ = child.lifecycle.ready()
            child.beats = true
            child.lastHeard = then.advanced(by: -2.5)
        }
        try wake(after: 4, prepare) { #expect(isAlive($1)) }
        try wake(after: 1, prepare) { #expect(!isAlive($1)) }
    }

    @Test func aPledge() throws {
        func prepare(_ child: Child, _ then: MonotonicTime) {
            _ = child.lifecycle.ready()
            child.lifecycle.handed(1)
            _ = child.lifecycle.started(1)
            child.pledge = (then.advanced(by: 0.5), 0.5)
        }
        try wake(after: 4, prepare) { #expect(isAlive($1)) }
        try wake(after: 1, prepare) { #expect(!isAlive($1)) }
    }

    @Test func whatHasNotBegun() throws {
        func prepare(_ child: Child, _ then: MonotonicTime) {
            _ = child.lifecycle.ready()
            child.lifecycle.handed(1)
            child.awaited = (1, then.advanced(by: -9.5))
        }
        try wake(after: 4, prepare) { #expect(isAlive($1)) }
        try wake(after: 1, prepare) { #expect(!isAlive($1)) }
    }

    @Test func theDelayBeforeSIGKILL() throws {
        func prepare(_ child: Child, _ then: MonotonicTime) {
            _ = child.lifecycle.ready()
            _ = child.lifecycle.stop()
            child.killDeadline = then.advanced(by: 0.5)
        }
        try wake(after: 4, prepare) { #expect(isAlive($1)) }
        try wake(after: 1, prepare) { #expect(!isAlive($1)) }
    }

    @Test func whatWasKilledIsNoCorpseYet() throws {
        func prepare(_ child: Child, _ then: MonotonicTime) {
            _ = child.lifecycle.kill(.silent)
            child.goneDeadline = then.advanced(by: 0.5)
        }
        try wake(after: 4, prepare) { pool, _ in #expect(pool.corpses.isEmpty) }
        try wake(after: 1, prepare) { pool, child in #expect(pool.corpses.first === child && pool.slots[0].child == nil) }
    }

    /// A task's limit is a matter of the clock: it may have run all the while.
    @Test func theHardLimitHolds() throws {
        func prepare(_ child: Child, _ then: MonotonicTime) {
            _ = child.lifecycle.ready()
            child.lifecycle.handed(1)
            _ = child.lifecycle.started(1)
            child.hardDeadline = (then.advanced(by: 0.5), 5)
        }
        try wake(after: 4, prepare) { #expect(!isAlive($1)) }
    }
}
