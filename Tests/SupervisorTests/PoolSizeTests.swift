import CoppiceEventLoop
import CoppiceShared
import Testing

@testable import CoppiceSupervisor

/// Slots come and go, and a child's place is taken by its successor. The processes behind them are `/bin/true`.
@Suite struct PoolSizeTests {
    private func inScene(_ body: (IntakeScene) throws -> Void) throws {
        let scene = try IntakeScene(concurrency: 1)
        try body(scene)
        try scene.close()
    }

    @Test func newSlotsTakeTheLowestNumbers() throws {
        try inScene { scene in
            let pool = scene.pool
            pool.resize(to: 4, now: .now)
            #expect(pool.slots.map(\.number) == [1, 2, 3, 4] && pool.size == 4)
            // Those without a child go at once; of them the last first.
            pool.resize(to: 2, now: .now)
            #expect(pool.slots.map(\.number) == [1, 2])
            pool.slots.removeAll { $0.number == 2 }
            pool.size = 1
            pool.resize(to: 3, now: .now)
            #expect(pool.slots.map(\.number) == [1, 2, 3])
        }
    }

    @Test func aSlotThatRetiresLeavesWhenItsChildHasLeft() throws {
        try inScene { scene in
            let pool = scene.pool
            pool.resize(to: 2, now: .now)
            scene.childIsReady(TaskDeclaration(name: "t"))
            scene.take("a")
            scene.handOut()
            // The second is empty, the first has work: the second goes.
            pool.resize(to: 1, now: .now)
            #expect(pool.slots.map(\.number) == [1] && !scene.slot.isRetiring)
            pool.resize(to: 2, now: .now)
            pool.slots[1].isRetiring = true
            pool.size = 1
            #expect(scene.intake.window == 4)
            // It comes back before a new one is made.
            pool.resize(to: 2, now: .now)
            #expect(pool.slots.map(\.isRetiring) == [false, false] && scene.intake.window == 8)
        }
    }

    @Test func theSuccessorIsGivenTheWork() throws {
        try inScene { scene in
            let (pool, slot) = (scene.pool, scene.slot)
            scene.childIsReady(TaskDeclaration(name: "t"))
            scene.take("a")
            scene.handOut()
            scene.start()
            let old = slot.child
            try pool.replace(slot, now: .now)
            try pool.replace(slot, now: .now)
            #expect(slot.child === old && slot.successor != nil && slot.children.count == 2)

            // Nothing changes while it starts.
            #expect(pool.readyCount == 1 && pool.children.count == 2)
            _ = slot.successor?.lifecycle.ready()
            pool.succeed(in: slot, now: .now)
            #expect(slot.child !== old && slot.successor == nil && slot.leaving.map { $0 === old } == [true])
            #expect(old?.room == 0 && slot.child?.room == 1)
            // What it has begun it finishes.
            if case .stopping(let hand) = old?.lifecycle.state {
                #expect(hand.running != nil)
            } else {
                Issue.record("the old one is not asked to stop")
            }
            scene.pool.kill(try #require(old), .shutdown)
        }
    }

    @Test func aChildThatIsDismissedWhileItStartsIsNoFailure() throws {
        let scene = try IntakeScene(concurrency: 2)
        let (pool, child) = (scene.pool, try #require(scene.slot.child))
        var deaths: [Death] = []
        pool.dismiss(child, now: .now)
        #expect(child.lifecycle.state == .killed(.notWanted, .init()))
        try scene.close { deaths.append($0) }
        #expect(deaths.map(\.isFailedStart) == [false] && pool.respawn == RespawnPolicy())
    }

    @Test func successorsOfTheWornOutComeNoFasterThanOthers() throws {
        try inScene { scene in
            let pool = scene.pool
            pool.resize(to: 40, now: .now)
            while pool.slots.contains(where: { $0.child == nil }) {
                pool.spawnMissing(now: .now)
                for child in pool.children { _ = child.lifecycle.ready() }
            }
            for child in pool.children {
                child.replacementDue = .now
                pool.wornOut.append(child)
            }
            let counts = (0..<3).map { _ in
                pool.spawnMissing(now: .now)
                return pool.slots.count { $0.successor != nil }
            }
            #expect(counts == [Pool.mostSpawnsInTurn, Pool.mostStarting, Pool.mostStarting])
        }
    }

    /// A reload back to settings without a limit may have failed half-way.
    @Test func aChildIsRecycledByTheLimitThatItWasStartedWith() throws {
        try inScene { scene in
            let (pool, slot) = (scene.pool, scene.slot)
            scene.childIsReady(TaskDeclaration(name: "t"))
            var live = pool.live
            live.recycling.tasks = 1
            let launcher = ChildLauncher(
                pool.options, live, generation: 2, descriptorLimit: pool.launcher.descriptorLimit, sandbox: pool.sandbox)
            let successor = try pool.replace(slot, by: launcher, now: .now)
            _ = successor.lifecycle.ready()
            pool.succeed(in: slot, now: .now)
            scene.childIsReady(TaskDeclaration(name: "t"))
            scene.take("a")
            scene.handOut()
            #expect(pool.wornOut.map { $0 === successor } == [true])
        }
    }

    @Test func aChildIsGivenTheTimeForItsStartThatItWasStartedWith() throws {
        try inScene { scene in
            let pool = scene.pool
            var live = pool.live
            live.startTimeout = 300
            let launcher = ChildLauncher(
                pool.options, live, generation: 2, descriptorLimit: pool.launcher.descriptorLimit, sandbox: pool.sandbox)
            let slow = try pool.replace(scene.slot, by: launcher, now: .now)
            #expect(slow.startDeadline == slow.spawnedAt.advanced(by: 300))
            // When the master wakes from a pause it begins anew.
            let now = MonotonicTime.now.advanced(by: 100)
            pool.noticeStandstill(now: now)
            #expect(slow.startDeadline == now.advanced(by: 300))
        }
    }

    @Test func aSuccessorTakesTheEmptyPlaceWhileItStarts() throws {
        try inScene { scene in
            let slot = scene.slot
            scene.childIsReady(TaskDeclaration(name: "t"))
            try scene.pool.replace(slot, now: .now)
            let (old, successor) = (try #require(slot.child), try #require(slot.successor))
            slot.remove(old)
            #expect(slot.child === successor && slot.successor == nil && successor.isServing)
            // It is watched by nobody any more.
            old.process.discard()
        }
    }
}
