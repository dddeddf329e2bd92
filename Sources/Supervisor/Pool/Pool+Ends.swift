import CoppiceShared
import CoppiceSystem
import Glibc

/// How children end: by themselves, by SIGKILL, not even by that, or slowly, by a crash that is reported.
extension Pool {
    /// More than a pipe holds: what is read of a child that has ended.
    private static let lastWords = 1 << 24

    /// SIGKILL, to whatever the child has spawned too. The reason stands recorded.
    func killForGood(_ child: Child, now: MonotonicTime) {
        // A dead process has no memory to look at any more.
        child.peakSeen = ProcessStatus.peakMemory(of: child.process.pid)
        child.stateSeen = ProcessStatus.state(of: child.process.pid)
        child.process.signalGroup(SIGKILL)
        // It may have moved to another group of its session.
        child.process.signal(SIGKILL)
        child.enclosure.group?.kill()
        child.killDeadline = nil
        child.goneDeadline = now.advanced(by: Pool.corpseDelay)
        wake(at: child.goneDeadline)
    }

    /// The process has ended.
    func exited(_ child: Child) {
        // Whatever it has spawned goes with it. Before it is reaped: so long its number belongs to nobody else.
        child.process.signalGroup(SIGKILL)
        if !corpses.contains(where: { $0 === child }) { drain(child) }
        guard let (end, usage) = child.process.reap() else { return hold(child, now: .now) }
        if let place = corpses.firstIndex(where: { $0 === child }) {
            corpses.remove(at: place)
            _ = leaveSandbox(child)
            child.close()
            log.warning(
                "\(child.name), a corpse, is gone after \(Int(MonotonicTime.now.seconds(since: child.spawnedAt))) s in all",
                metadata: child.fields)
        } else {
            over(child, end, usage, now: .now)
        }
    }

    /// A debugger that traces it has to hear of its end first. Until it does the descriptor is readable, which would keep the loop from all that is
    /// less urgent: it is looked at each second instead.
    private func hold(_ child: Child, now: MonotonicTime) {
        child.isHeld = true
        child.exitSource = nil
        child.goneDeadline = now.advanced(by: Pool.corpseDelay)
        wake(at: child.goneDeadline)
    }

    /// Those that have ended, and could not be reaped yet.
    func reapHeldCorpses(now: MonotonicTime) {
        for corpse in corpses where corpse.isHeld {
            if let due = corpse.goneDeadline, due > now { wake(at: due) } else { exited(corpse) }
        }
    }

    /// SIGKILL has not ended it: it sleeps in the kernel, where no signal is heard (a file server that is gone, a frozen cgroup, a
    /// debugger). It runs no instruction of its own any more, so its slot and its task need not wait. There are no more corpses than slots: with
    /// that many, the next one keeps its slot until it is gone, or the master wants to go.
    func giveUp(_ child: Child, now: MonotonicTime) {
        if child.isHeld {
            exited(child)
            guard child.lifecycle.state != .ended else { return }
        }
        guard corpses.count < size || !isSpawning else {
            child.goneDeadline = now.advanced(by: Pool.corpseDelay)
            wake(at: child.goneDeadline)
            return
        }
        let state = ProcessStatus.state(of: child.process.pid).map { " (state \($0))" } ?? ""
        let how = child.isHeld ? "has ended, but is held by what traces it" : "does not end although it has been killed\(state)"
        log.error("\(child.name) \(how): a corpse; its slot goes on without it", metadata: child.fields)
        drain(child)
        corpses.append(child)
        over(child, nil, nil, now: now)
    }

    /// Reads what is left of what it said: all that it wrote is in the pipes by now. A grandchild may hold the other end open, so an empty
    /// pipe is enough, and as it may go on writing there is a bound. Before the child is reaped: a bad frame among it still has it killed.
    private func drain(_ child: Child) {
        _ = try? child.channel.receive(limit: Pool.lastWords) { accept($0, from: child, now: .now) }
        readLastOutput(of: child)
    }

    /// It is reaped, or is a corpse.
    private func over(_ child: Child, _ end: ProcessEnd?, _ usage: ProcessUsage?, now: MonotonicTime) {
        let hand = child.lifecycle.hand
        var death = Death(
            end: child.lifecycle.ended(), process: end, lived: now.seconds(since: child.spawnedAt),
            ran: child.runningSince.map { now.seconds(since: $0) }, cpu: usage?.cpu,
            memory: MemoryPeak(reaped: usage?.peak, parent: child.parentPeak, seen: child.peakSeen), state: child.stateSeen,
            lastLines: child.lastLines.lines(of: hand.running ?? hand.next), oomKilled: end != nil && leaveSandbox(child),
            isHeld: child.isHeld)
        let wasServing = child.isServing
        child.slot.remove(child)
        if end == nil { child.closePipes() } else { child.close() }
        death.isFailedStart = isFailedStart(child, death, now: now)
        // A successor that fails takes nothing away.
        if wasServing, death.isFailedStart {
            respawn.startFailed(now: now)
            death.pause = respawn.pause
        }
        onEnd(child, death)
        removeRetired()
    }

    /// One that ends by itself as soon as it is ready, or speaks another protocol, is no better than one that never was. A task that it had
    /// begun may be what has killed it; and what somebody else has killed is not to blame.
    private func isFailedStart(_ child: Child, _ death: Death, now: MonotonicTime) -> Bool {
        let end = death.end
        guard end.wasReady else { return end.killed != .shutdown && end.killed != .notWanted }
        guard !end.wasStopping, end.hand.running == nil, child.probationEnd.map({ now < $0 }) ?? false else { return false }
        if case .protocolError = end.killed { return true }
        return end.killed == nil && (death.process != .signal(SIGKILL) || death.oomKilled)
    }

    // MARK: crash reports

    /// What Swift's runtime says first when a process crashes whose backtraces are switched on.
    static let reportMark = "*** Signal "

    /// The child has crashed, and its runtime holds it for seconds to report how. It gets a successor at once, unless as many as there are
    /// slots report already; the task that crashed has its verdict, with the report, when the process has ended.
    func beginsReport(_ child: Child, now: MonotonicTime) {
        guard live.backtraces, child.crashingSince == nil, !child.quotesReports, !child.lifecycle.isKilled else { return }
        child.crashingSince = now
        child.lastLines.beginReport()
        wake(at: now.advanced(by: Pool.reportTimeout))
        // One that never was ready is a start that failed, with the pause that follows.
        guard !child.lifecycle.isStarting else { return }
        // It may have printed another program's report, and then hears the order.
        dismiss(child, now: now)
        let reporting = children.count { $0.crashingSince != nil && !$0.isServing }
        if child.isServing, reporting < size { child.slot.leave(child) }
    }

    /// It was another program's crash: a child that reports its own says nothing more. It finishes what it has begun.
    func noticeLife(of child: Child, now: MonotonicTime) {
        guard let since = child.crashingSince, now.seconds(since: since) > Pool.crashDoubt else { return }
        child.crashingSince = nil
        child.quotesReports = true
        expectEnd(of: child, now: now)
    }
}
