import CoppiceEventLoop
import CoppiceShared
import CoppiceSystem
import Glibc

/// What operators ask for, by signal or by remote control.
extension Supervisor {
    /// Children, at most, whoever asks for more.
    static let mostChildren = 10_000

    func connectOrders() throws(SystemError) {
        let stops = LoopPriority.stopSignals
        let others = LoopPriority.requests
        try hear(SIGTERM, stops) { $0.shutDown(.warm, exitCode: 0) }
        try hear(SIGQUIT, stops) { $0.shutDown(.cold, exitCode: 0) }
        try hear(SIGINT, stops) { $0.interrupted() }
        // From a terminal it is the terminal's end, as in Celery.
        let isInTerminal = isatty(STDOUT_FILENO) == 1
        try hear(SIGHUP, others) { isInTerminal ? $0.shutDown(.warm, exitCode: 1) : $0.reloadAsked() }
        try hear(SIGUSR1, others) { $0.dump() }
        try hear(SIGTTIN, others) { $0.changeSize(by: 1) }
        try hear(SIGTTOU, others) { $0.changeSize(by: -1) }
        try hear(SIGTSTP, others) { $0.quiet(true) }
        try hear(SIGCONT, others) { $0.quiet(false) }
        drainTimer = try loop.timer(priority: stops) { [unowned self] in drainDeadlineReached() }
        restart.onOptions = { [unowned self] in take(over: $0) }
        restart.onEnd = { [unowned self] in reloadEnded($0) }
        try connectScaling()
    }

    private func hear(_ signal: Int32, _ priority: Int, _ order: @escaping (Supervisor) -> Void) throws(SystemError) {
        sources.append(try loop.signal(signal, priority: priority) { [unowned self] in order(self) })
    }

    // MARK: stopping

    private func interrupted() {
        // The first one after a TERM is a warning, too, as in Celery.
        if wasInterrupted || (lifecycle.drainMode ?? .warm) > .warm {
            shutDown(.cold, exitCode: 1)
        } else {
            wasInterrupted = true
            log.warning("worker: Hitting Ctrl+C again will terminate all running tasks!")
            shutDown(.warm, exitCode: 1)
        }
    }

    /// A cold shutdown is a soft one first, if that is set, something runs, and it was not one already.
    private func shutDown(_ asked: SupervisorLifecycle.DrainMode, exitCode: Int32) {
        let shutdown = live.shutdown
        let isSoft = asked == .cold && shutdown.softLimit > 0 && (lifecycle.drainMode ?? .warm) < .soft && pool.busyCount > 0
        let mode = isSoft ? .soft : asked
        guard lifecycle.drain(mode, exitCode: exitCode) else { return }
        let now = MonotonicTime.now
        switch mode {
        case .warm:
            drainDeadline = now.advanced(by: shutdown.warmLimit)
            log.warning("worker: Warm shutdown (\(options.node))")
        case .soft:
            // Never later than what was said before.
            let deadline = now.advanced(by: shutdown.softLimit)
            drainDeadline = drainDeadline.map { min($0, deadline) } ?? deadline
            log.warning("worker: Initiating Soft Shutdown, terminating in \(shutdown.softLimit) seconds (\(options.node))")
        case .cold:
            drainDeadline = nil
            log.warning("worker: Cold shutdown (\(options.node))")
        }
        nextDrainStory = nil
        drainTimer?.set(drainDeadline)
        reporter.stopping()
    }

    private func drainDeadlineReached() {
        guard let mode = lifecycle.drainMode, mode < .cold, lifecycle.drain(.cold, exitCode: 0) else { return }
        drainDeadline = nil
        log.warning("worker: Cold shutdown (\(options.node)): the time for \(mode == .warm ? "warm" : "soft") shutdown is over")
    }

    // MARK: quiet

    /// Stops taking messages and gives back what no child has; or takes them again. Returns whether it is so.
    @discardableResult
    func quiet(_ isQuiet: Bool) -> Bool {
        guard lifecycle.quiet(isQuiet) else { return lifecycle.takesMessages != isQuiet }
        if isQuiet {
            log.warning("Quiet: no more messages are taken")
            stopTaking()
        } else {
            log.warning("Messages are taken again")
            mayHaveMessages = true
            broker.standing?.resumeTaking()
            broker.flush()
        }
        return true
    }

    // MARK: size

    private func changeSize(by count: Int) {
        guard !lifecycle.isDraining else { return }
        guard scaler == nil else {
            log.warning("The number of children follows --autoscale: it is not changed by a signal")
            return
        }
        let size = max(1, min(pool.size + count, Supervisor.mostChildren))
        log.warning("\(size) children from now on, by a signal\(size == pool.size ? ": there is no further" : "")")
        pool.resize(to: size, now: .now)
    }
}
