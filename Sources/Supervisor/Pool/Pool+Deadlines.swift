import CoppiceShared
import CoppiceSystem
import Glibc

/// What children must do by when. One timer serves all of it.
extension Pool {
    /// The running assignment's limits, in seconds from now; nil: none.
    func limit(_ child: Child, soft: Double?, hard: Double?, now: MonotonicTime) {
        child.softDeadline = soft.map { now.advanced(by: $0) }
        child.hardDeadline = hard.map { (now.advanced(by: $0), $0) }
        for deadline in [child.softDeadline, child.hardDeadline?.at] { wake(at: deadline) }
    }

    /// A child that was asked to stop and runs nothing must go soon. One that says meanwhile that a task had begun may end it.
    func expectEnd(of child: Child, now: MonotonicTime) {
        guard case .stopping(let hand) = child.lifecycle.state, child.crashingSince == nil else { return }
        if hand.running != nil {
            child.killDeadline = nil
        } else if child.killDeadline == nil {
            child.killDeadline = now.advanced(by: Pool.killDelay)
            wake(at: child.killDeadline)
        }
    }

    /// A child must begin what is next in its hand soon, since nothing runs before it.
    func expectBeginning(of child: Child, now: MonotonicTime) {
        let next = child.lifecycle.hand.next
        guard next != child.awaited?.assignment else { return }
        child.awaited = next.map { ($0, now) }
        if next != nil { wake(at: now.advanced(by: Pool.beginTimeout)) }
    }

    /// While the loop stood still, because the process was stopped or starved, nobody was heard, and the children may have stood still, too.
    /// That time counts against no child; only a task's time limits are a matter of the clock.
    func noticeStandstill(now: MonotonicTime) {
        defer { lastTurn = now }
        guard now.seconds(since: lastTurn) > Pool.standstill else { return }
        for child in children {
            child.lastHeard = now
            child.awaited?.since = now
            if child.inFrameSince != nil { child.inFrameSince = now }
            if child.lifecycle.isStarting { child.startDeadline = now.advanced(by: child.startTimeout) }
            if child.killDeadline != nil { child.killDeadline = now.advanced(by: Pool.killDelay) }
            if child.goneDeadline != nil { child.goneDeadline = now.advanced(by: Pool.corpseDelay) }
            if let pledge = child.pledge { child.pledge?.until = now.advanced(by: pledge.seconds) }
            if child.crashingSince != nil { child.crashingSince = now }
            if child.hangUpDeadline != nil { child.hangUpDeadline = now.advanced(by: Pool.hangUpDelay) }
        }
    }

    /// A process that wants to run and is not let hangs in nothing: the machine is overloaded, and another in its place would only add to
    /// that. It is looked at again each second, up to a bound.
    private func isStarved(_ child: Child, since: MonotonicTime, now: MonotonicTime) -> Bool {
        guard now.seconds(since: since) < Pool.starvation, ProcessStatus.wantsProcessor(child.process.pid) else { return false }
        wake(at: now.advanced(by: 1))
        return true
    }

    /// Makes sure that the timer fires at `time` or before. It is never put off: a turn too many does no harm.
    func wake(at time: MonotonicTime?) {
        guard let time, timerTime.map({ time < $0 }) ?? true else { return }
        timerTime = time
        timer?.set(time)
    }

    func deadlinesReached(now: MonotonicTime) {
        timerTime = nil
        noticeStandstill(now: now)
        for child in children {
            check(child, now: now)
            measureIfDue(child, now: now)
        }
        reapHeldCorpses(now: now)
        sweepSandbox(now: now)
        // Missing children are spawned by the reconciliation that follows.
        flush()
    }

    /// Acts on the deadlines that are reached and sets the timer for those that are not.
    private func check(_ child: Child, now: MonotonicTime) {
        func reached(_ deadline: MonotonicTime?) -> Bool {
            guard let deadline else { return false }
            if deadline <= now { return true }
            wake(at: deadline)
            return false
        }
        if reached(child.goneDeadline) {
            giveUp(child, now: now)
            return
        }
        if reached(child.killDeadline) {
            if !child.lifecycle.isKilled { _ = child.lifecycle.kill(.overstayed) }
            killForGood(child, now: now)
        }
        guard !child.lifecycle.isKilled, !child.isHeld else { return }
        if reached(child.hangUpDeadline) {
            complain("it has closed its pipe and goes on", child)
            return
        }
        if let since = child.crashingSince {
            // It can't beat any more, and its task is over.
            if reached(since.advanced(by: Pool.reportTimeout)) { kill(child, .crashReport) }
            return
        }
        if child.lifecycle.isStarting {
            if reached(child.startDeadline), !isStarved(child, since: child.spawnedAt, now: now) {
                log.error(
                    "\(child.name) did not become ready within \(Death.seconds(child.startTimeout)) (--child-start-timeout); it is killed",
                    metadata: child.fields)
                kill(child, .neverReady(child.startTimeout))
            }
            return
        }
        if reached(child.probationEnd) { startSucceeded(child) }
        if child.beats, reached(child.lastHeard.advanced(by: Pool.silence)), !isStarved(child, since: child.lastHeard, now: now) {
            log.error("\(child.name) has been silent for \(Pool.silence) s; it is killed", metadata: child.fields)
            kill(child, .silent)
            return
        }
        if let since = child.inFrameSince, reached(since.advanced(by: Pool.frameTimeout)), !isStarved(child, since: since, now: now) {
            complain("nothing has followed the beginning of a frame within \(Death.seconds(Pool.frameTimeout))", child)
            return
        }
        if let awaited = child.awaited, reached(awaited.since.advanced(by: Pool.beginTimeout)),
            !isStarved(child, since: awaited.since, now: now)
        {
            log.error(
                "\(child.name) has not begun what it was given within \(Int(Pool.beginTimeout)) s; it is killed", metadata: child.fields)
            kill(child, .neverBegan)
            return
        }
        if let hard = child.hardDeadline, reached(hard.at) {
            log.error(
                "Hard time limit (\(hard.limit)s) exceeded in child \(child.slot.number) (pid \(child.process.pid)); it is killed",
                metadata: child.fields)
            kill(child, .hardTimeLimit(hard.limit))
            return
        }
        if let pledge = child.pledge, reached(pledge.until) {
            log.error("The task in \(child.name) had promised a heartbeat within \(pledge.seconds) s; it is killed", metadata: child.fields)
            kill(child, .pledgeBroken(pledge.seconds))
            return
        }
        if reached(child.softDeadline), let running = child.lifecycle.hand.running {
            child.softDeadline = nil
            child.channel.send(.cancel(assignment: running, reason: .softTimeLimit))
            unflushed.append(child)
        }
        if child.lifecycle.hand.count > 1, !child.recallSent, reached(child.runningSince?.advanced(by: Pool.recallDelay)) { recall(child) }
    }
}
