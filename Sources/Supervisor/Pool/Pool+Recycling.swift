import CoppiceShared
import CoppiceSystem

/// Children that are replaced although nothing is wrong with them, and what is left of those that are gone.
extension Pool {
    /// Seconds between two looks at a child's memory.
    private static let measurePause = 0.1
    /// Seconds until a replacement that came to nothing is tried again.
    private static let replacementPause = 1.0

    /// A child has been given something. Its successor is spawned when what it may still be given will not last longer than a start does:
    /// so it is never exceeded, and there is always one that works.
    func countTasks(of child: Child, now: MonotonicTime) {
        guard child.mostTaken < .max, child.replacementDue == nil else { return }
        let left = Double(child.mostTaken - child.taken) * (child.meanRuntime ?? 0)
        guard child.taken >= child.mostTaken || child.meanRuntime != nil && left < startDuration else { return }
        log.info("\(child.name) has been given \(child.taken) task(s): it is replaced", metadata: child.fields)
        wearOut(child, now: now)
    }

    /// What a frame tells of the time to look at a child's memory: between tasks, and at its beats if the limit holds for those that run.
    func measure(_ child: Child, after frame: UpFrame, now: MonotonicTime) {
        guard let most = live.recycling.memory else { return }
        switch frame {
        case .done where child.replacementDue == nil: measure(child, most: most, now: now)
        case .heartbeat where live.recycling.killsOverMemory && child.lifecycle.hand.running != nil && !child.lifecycle.isKilled:
            guard let held = ResidentMemory.of(child.process.pid), held > most else { return }
            log.error(
                "\(child.name) holds \(held >> 10) KiB while its task runs, more than \(most >> 10): it is killed", metadata: child.fields)
            kill(child, .overMemory(held))
        default: break
        }
    }

    /// The look that was too early when the last task ended.
    func measureIfDue(_ child: Child, now: MonotonicTime) {
        guard let due = child.measureDue, let most = live.recycling.memory, child.replacementDue == nil else { return }
        if due <= now { measure(child, most: most, now: now) } else { wake(at: due) }
    }

    private func measure(_ child: Child, most: Int, now: MonotonicTime) {
        if let last = child.measuredAt, now.seconds(since: last) < Pool.measurePause {
            child.measureDue = last.advanced(by: Pool.measurePause)
            wake(at: child.measureDue)
            return
        }
        child.measuredAt = now
        child.measureDue = nil
        guard let held = ResidentMemory.of(child.process.pid), held > most else { return }
        log.info("\(child.name) holds \(held >> 10) KiB, more than \(most >> 10): it is replaced", metadata: child.fields)
        wearOut(child, now: now)
    }

    private func wearOut(_ child: Child, now: MonotonicTime) {
        child.replacementDue = now
        wornOut.append(child)
    }

    /// Spawns successors of those that are worn out, at most so many: what they leave of that is for others. One whose start fails is tried again
    /// after a pause; the old child goes on meanwhile, with what it may still be given.
    func replaceWornOut(atMost most: inout Int, now: MonotonicTime) {
        wornOut.removeAll { !$0.isServing || !$0.lifecycle.isWorking || $0.slot.isRetiring }
        for child in wornOut where child.slot.successor == nil && !child.slot.isRecycling {
            guard most > 0 else { return }
            guard let due = child.replacementDue, due <= now else {
                wake(at: child.replacementDue)
                continue
            }
            child.replacementDue = now.advanced(by: Pool.replacementPause)
            most -= 1
            do { try replace(child.slot, now: now) } catch {
                log.error("\(child.name) can't be replaced: \(error)", metadata: child.fields)
                wake(at: child.replacementDue)
            }
        }
    }

    /// A child is gone: so is what it was given besides its pipes.
    ///
    /// - Returns: whether the kernel has killed in its cgroup for lack of memory.
    func leaveSandbox(_ child: Child) -> Bool {
        let isShort = sandbox.leave(child.enclosure)
        sweepSandbox(now: .now)
        return isShort
    }

    func sweepSandbox(now: MonotonicTime) { wake(at: sandbox.sweep(now: now)) }
}
