import CoppiceEventLoop
import CoppiceShared

/// Who is given the next assignment, and the way to its pipe.
extension Pool {
    /// How many assignments the children could be given now.
    var room: Int { serving.reduce(0) { $0 + $1.room } }

    /// The child that is given the next assignment of this task: the one with the emptiest hand that has room.
    ///
    /// - Parameters:
    ///   - idle: only one that has nothing in hand.
    ///   - proven: only one whose start counts as one that succeeded.
    func place(for task: String, idle: Bool, proven: Bool) -> Slot? {
        if !isSurveyed { survey() }
        var best: Slot?
        var bestLoad = idle ? 1 : Pool.full
        for slot in slots where slot.load < bestLoad {
            // A child may have been killed since the survey.
            guard let child = slot.child, child.room > 0, child.tasks[task] != nil, !proven || child.probationEnd == nil else { continue }
            best = slot
            bestLoad = slot.load
            if slot.load == 0 { break }
        }
        return best
    }

    /// To ask each child for each delivery would, with hundreds of them, cost more than all the rest.
    private func survey() {
        for slot in slots { slot.load = load(of: slot) }
        isSurveyed = true
    }

    private func load(of slot: Slot) -> UInt8 {
        guard let child = slot.child, child.room > 0 else { return Pool.full }
        return UInt8(clamping: child.lifecycle.hand.count)
    }

    /// The load of a slot that can be given nothing.
    private static let full = UInt8.max

    /// Writes an assignment to a child that `place` has named.
    ///
    /// - Parameter alone: nothing is written behind it.
    func hand(_ run: RunFrame, to slot: Slot, alone: Bool) {
        guard let child = slot.child else { return }
        child.runsAlone = alone
        if alone { tighten(child) }
        child.lifecycle.handed(run.assignment)
        child.labels.append(TaskLabel(run))
        child.took(1)
        countTasks(of: child, now: .now)
        expectBeginning(of: child, now: .now)
        child.channel.send(.run(run))
        unflushed.append(child)
        slot.load = load(of: slot)
    }

    /// Asks a child for what it has not begun, if it can give that back. It answers even where it has begun everything.
    func recall(_ child: Child) {
        guard child.ahead > 0, child.lifecycle.isWorking, !child.lifecycle.hand.waiting.isEmpty, !child.recallSent else { return }
        child.recallSent = true
        child.channel.send(.recall)
        unflushed.append(child)
    }

    /// What has taken a process along before gets less memory, if the node is told so.
    private func tighten(_ child: Child) {
        guard let bytes = live.poison.suspectMemory, child.ordinaryDataLimit == nil,
            let before = child.process.setSoftDataLimit(UInt64(bytes))
        else { return }
        child.ordinaryDataLimit = before
        // It may have had less all along.
        if before < UInt64(bytes) { loosen(child) }
    }

    /// The suspect is out of the child's hand.
    func loosen(_ child: Child) {
        guard let limit = child.ordinaryDataLimit else { return }
        _ = child.process.setSoftDataLimit(limit)
        child.ordinaryDataLimit = nil
    }

    /// Sends what has been queued for children in this turn.
    func flush() {
        var unwatched: [Child] = []
        for child in unflushed where child.lifecycle.state != .ended {
            child.channel.flush()
            if child.channel.hasBacklog, !watchWrites(child) { unwatched.append(child) }
        }
        unflushed.removeAll(keepingCapacity: true)
        guard !unwatched.isEmpty else { return }
        unflushed = unwatched
        wake(at: MonotonicTime.now.advanced(by: Pool.unwatchedPause))
    }

    /// Whether what is left is sent when the pipe takes it: there may be no more memory or watches for that.
    private func watchWrites(_ child: Child) -> Bool {
        guard child.writeSource == nil else { return true }
        child.writeSource = try? loop.watch(child.channel.downDescriptor, for: .write, priority: LoopPriority.childFrames) {
            [weak child] _ in
            guard let child else { return }
            child.channel.flush()
            if !child.channel.hasBacklog { child.writeSource = nil }
        }
        return child.writeSource != nil
    }
}
