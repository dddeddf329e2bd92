import CoppiceEventLoop
import CoppiceShared

/// Who is given the next assignment, and the way to its pipe.
extension Pool {
    /// How many assignments the children could be given now.
    var room: Int { children.reduce(0) { $0 + $1.room } }

    /// The child that is given the next assignment of this task: the one with the emptiest hand that has room.
    ///
    /// - Parameter idle: only one that has nothing in hand.
    func place(for task: String, idle: Bool) -> Slot? {
        var best: Slot?
        var bestCount = idle ? 1 : Int.max
        for slot in slots {
            guard let child = slot.child else { continue }
            let count = child.lifecycle.hand.count
            // The look-up by name last: with many children it is what costs.
            guard count < bestCount, child.room > 0, child.tasks[task] != nil else { continue }
            if count == 0 { return slot }
            best = slot
            bestCount = count
        }
        return best
    }

    /// Writes an assignment to a child that `place` has named.
    ///
    /// - Parameter alone: nothing is written behind it.
    func hand(_ run: RunFrame, to slot: Slot, alone: Bool) {
        guard let child = slot.child else { return }
        child.runsAlone = alone
        child.lifecycle.handed(run.assignment)
        expectBeginning(of: child, now: .now)
        child.channel.send(.run(run))
        unflushed.append(slot)
    }

    /// Sends what has been queued for children in this turn.
    func flush() {
        for slot in unflushed {
            guard let child = slot.child else { continue }
            child.channel.flush()
            if child.channel.hasBacklog { watchWrites(slot, child) }
        }
        unflushed.removeAll(keepingCapacity: true)
    }

    private func watchWrites(_ slot: Slot, _ child: Child) {
        guard child.writeSource == nil else { return }
        child.writeSource = try? loop.watch(child.channel.downDescriptor, for: .write, priority: LoopPriority.childFrames) {
            [weak child] _ in
            guard let child else { return }
            child.channel.flush()
            if !child.channel.hasBacklog { child.writeSource = nil }
        }
    }
}
