import CoppiceEventLoop
import CoppiceShared
import CoppiceSystem
import Glibc

/// From an empty slot to a child that is watched.
extension Pool {
    /// Spawns the very first child.
    ///
    /// - Throws: what tells the operator that the wrong thing was named: missing, not executable, wrong format.
    func spawnFirst() throws(SystemError) { try spawn(slots[0], now: .now) }

    /// Spawns what is missing, some in each turn, so that the loop goes on meanwhile.
    func spawnMissing(now: MonotonicTime) {
        guard isSpawning else { return }
        var spawned = 0
        for slot in slots where slot.child == nil {
            guard spawned < Pool.mostSpawnsInTurn else {
                wake(at: now)
                return
            }
            spawned += 1
            guard respawn.maySpawn(now: now) else {
                wake(at: respawn.notBefore)
                return
            }
            do {
                try spawn(slot, now: now)
            } catch {
                respawn.startFailed(now: now)
                log.error("can't start a child: \(error); next attempt in \(respawn.pause) s")
            }
        }
    }

    private func spawn(_ slot: Slot, now: MonotonicTime) throws(SystemError) {
        let null = try Descriptor.open("/dev/null", flags: O_RDWR)
        let down = try Descriptor.pipe()
        let up = try Descriptor.pipe()
        let output = try Descriptor.pipe()
        let errors = try Descriptor.pipe()
        for end in [down.write, up.read, output.read, errors.read] { try end.setNonBlocking() }
        let process = try ChildProcess.spawn(
            path: options.workerPath, arguments: [options.workerPath], environment: environment,
            descriptors: .init([null, output.write, errors.write, down.read, up.write]))
        process.resetDescriptorLimit(childLimits)
        let channel = ChildChannel(down: down.write, up: up.read)
        let child = Child(process: process, channel: channel, outputs: [ChildOutput(output.read), ChildOutput(errors.read)], now: now)
        do {
            try watch(slot, child)
        } catch {
            // Out of memory or of watches. Nobody would hear of its end.
            child.close()
            process.discard()
            throw error
        }
        slot.child = child
        var settings = JSONObject()
        settings.append("max_retries", .int(options.maximumRetries))
        if let timeZone = options.timeZone { settings.append("timezone", .string(timeZone)) }
        if options.extendsResults { settings.append("wants_calls", true) }
        channel.send(
            .hello(.init(slot: UInt32(slot.number), node: options.node, heartbeat: UInt32(Pool.heartbeat * 1000), settings: settings)))
        channel.flush()
        wake(at: now.advanced(by: Pool.startTimeout))
        log.debug("Child \(slot.number) (pid \(process.pid)) spawned")
    }

    private func watch(_ slot: Slot, _ child: Child) throws(SystemError) {
        child.frameSource = try loop.watch(child.channel.upDescriptor, for: .read, priority: LoopPriority.childFrames) {
            [unowned self, unowned slot, weak child] _ in
            if let child, slot.child === child { receive(slot, child) }
        }
        child.sources.append(
            try loop.watch(child.process.pidfd.raw, for: .read, priority: LoopPriority.childExits) {
                [unowned self, unowned slot, weak child] _ in
                if let child, slot.child === child { exited(slot, child) }
            })
        for output in child.outputs {
            child.sources.append(
                try loop.watch(output.descriptor, for: .read, priority: LoopPriority.childOutput) {
                    [unowned self, unowned slot, weak child] _ in
                    guard let child else { return }
                    if !output.receive({ self.onOutput(slot, $0) }) {
                        // Closed by the child; without a reader's interest the loop would spin on the hang-up.
                        child.sources.removeAll { $0.descriptor == output.descriptor }
                    }
                })
        }
    }
}
