import CoppiceEventLoop
import CoppiceShared
import CoppiceSystem
import Glibc

/// From an empty slot to a child that is watched.
extension Pool {
    /// Spawns the very first child.
    ///
    /// - Throws: what tells the operator that the wrong thing was named: missing, not executable, wrong format. A start that may succeed soon is
    ///   tried again, as all that follow.
    func spawnFirst() throws(SystemError) {
        try sandbox.open(
            children: live.mostChildren, tightensSuspects: live.poison.suspectMemory != nil)
        sweepSandbox(now: .now)
        do { slots[0].child = try spawn(in: slots[0], by: launcher, now: .now) } catch {
            guard error.mayPass else { throw error }
            startFailed(error, now: .now)
        }
    }

    private func startFailed(_ error: SystemError, now: MonotonicTime) {
        respawn.startFailed(now: now)
        log.error("can't start a child: \(error); next attempt in \(respawn.pause) s")
    }

    /// Spawns what is missing, some in each turn, so that the loop goes on meanwhile; and no more at a time than the machine can start
    /// without keeping those from running that are there already. When one has become ready, or has failed, there is a turn.
    func spawnMissing(now: MonotonicTime) {
        guard isSpawning else { return }
        let missing = slots.filter { $0.child == nil && !$0.isRetiring }
        guard !missing.isEmpty || !wornOut.isEmpty else { return }
        let room = max(0, Pool.mostStarting - children.count { $0.lifecycle.isStarting })
        var most = min(room, Pool.mostSpawnsInTurn)
        fill(missing, atMost: &most, now: now)
        replaceWornOut(atMost: &most, now: now)
        // What was put off by the bound of a turn alone has the next one.
        if most == 0, room > Pool.mostSpawnsInTurn { wake(at: now) }
    }

    private func fill(_ missing: [Slot], atMost most: inout Int, now: MonotonicTime) {
        for slot in missing {
            guard most > 0 else { return }
            guard respawn.maySpawn(now: now) else {
                wake(at: respawn.notBefore)
                return
            }
            most -= 1
            do {
                slot.child = try spawn(in: slot, by: launcher, now: now)
            } catch {
                startFailed(error, now: now)
            }
        }
    }

    /// Spawns the child that takes the place of the slot's present one as soon as it is ready; that one then finishes what it has begun and
    /// goes. If it never becomes ready `onEnd` tells so, and the present one stays. One that is on its way already is waited for.
    ///
    /// - Throws: as `ChildLauncher.launch`; nothing has changed then.
    func replace(_ slot: Slot, now: MonotonicTime) throws(SystemError) {
        guard isSpawning, !slot.isRetiring, slot.successor == nil, slot.child?.lifecycle.isWorking == true else { return }
        slot.successor = try spawn(in: slot, by: launcher, now: now)
    }

    /// The same at a reload, for a launcher that may be new: whatever the present child does, and also where there is none.
    func replace(_ slot: Slot, by launcher: ChildLauncher, now: MonotonicTime) throws(SystemError) -> Child {
        let child = try spawn(in: slot, by: launcher, now: now)
        if slot.child == nil { slot.child = child } else { slot.successor = child }
        return child
    }

    /// A successor has become ready.
    func succeed(in slot: Slot, now: MonotonicTime) {
        guard let old = slot.succeed() else { return }
        log.info("\(old.name) makes way for pid \(slot.child?.process.pid ?? 0)", metadata: old.fields)
        dismiss(old, now: now)
    }

    func spawn(in slot: Slot, by launcher: ChildLauncher, now: MonotonicTime) throws(SystemError) -> Child {
        let launched = try launcher.launch(slot: slot.number)
        newestStart += 1
        let child = Child(launched, by: launcher, number: newestStart, in: slot, now: now)
        do {
            try watch(child)
        } catch {
            // Out of memory or of watches. Nobody would hear of its end.
            child.close()
            child.process.discard()
            _ = leaveSandbox(child)
            throw error
        }
        child.channel.send(
            .hello(
                .init(slot: UInt32(slot.number), node: options.node, heartbeat: UInt32(Pool.heartbeat * 1000), settings: launcher.settings))
        )
        child.channel.flush()
        wake(at: child.startDeadline)
        log.debug("\(child.name) spawned", metadata: child.fields)
        return child
    }

    private func watch(_ child: Child) throws(SystemError) {
        child.frameSource = try frames.watch(child.channel.upDescriptor) { [unowned self, weak child] in
            if let child { receive(child) }
        }
        child.exitSource = try loop.watch(child.process.pidfd.raw, for: .read, priority: LoopPriority.childExits) {
            [unowned self, weak child] _ in
            if let child { exited(child) }
        }
        try watchOutput(of: child)
    }
}
