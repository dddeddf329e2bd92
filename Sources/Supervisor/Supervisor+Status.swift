import CoppiceShared
import CoppiceSystem
import Glibc

/// What the master says of itself.
extension Supervisor {
    /// Tasks that are named in one line, at most.
    private static let mostNamed = 5
    /// Seconds between two lines of the log on what a shutdown waits for.
    private static let storyInterval = 60.0

    /// The line for STATUS and for `coppice status`.
    var status: String {
        let children = "\(pool.readyCount)/\(pool.size) children ready, \(pool.busyCount) busy"
        var line = "\(phase): \(children), \(intake.claimed) claimed, \(intake.processed) done\(corpses); \(servers)"
        if let failure = reload.failure { line += "; the last reload failed: \(failure)" }
        return line
    }

    private var corpses: String {
        switch pool.corpses.count {
        case 0: ""
        case 1: ", 1 corpse"
        case let count: ", \(count) corpses"
        }
    }

    private var phase: String {
        let phase =
            switch lifecycle.state {
            case .booting: "starting"
            case .running: restart.lifecycle.isUnderWay ? "reloading, \(restart.left) children to be replaced" : "ready"
            case .draining(.warm): "finishing what runs"
            case .draining(.soft): "finishing what runs, soon stopping at once"
            case .draining(.cold): "stopping at once"
            case .finished: "stopped"
            }
        if let story = drainStory(now: .now) { return "\(phase), \(story)" }
        return lifecycle.isQuiet ? "\(phase), quiet" : phase
    }

    /// What a warm or soft shutdown waits for, and how long at most; nil if nothing runs.
    private func drainStory(now: MonotonicTime) -> String? {
        guard let mode = lifecycle.drainMode, mode < .cold else { return nil }
        let running = pool.children.filter { $0.lifecycle.hand.running != nil }
        guard !running.isEmpty else { return nil }
        // When all have a limit of their own the last of these is the end.
        let limits = running.compactMap { $0.hardDeadline?.at }
        let ends = [drainDeadline, limits.count == running.count ? limits.max() : nil].compactMap(\.self)
        let most = ends.min().map { max(0, $0.seconds(since: now)).rounded(.up) } ?? 0
        let names = running.prefix(Supervisor.mostNamed).map { child in
            let name = child.lifecycle.hand.running.flatMap { intake.name(of: $0) } ?? "?"
            return "\(name) in child \(child.slot.number) for \(Int(child.runningSince.map { now.seconds(since: $0) } ?? 0)) s"
        }
        let others = running.count > names.count ? ", and \(running.count - names.count) more" : ""
        return "waiting for \(running.count) task(s), \(Int(most)) s at most: \(names.joined(separator: ", "))\(others)"
    }

    /// Tells the log what the shutdown waits for, at its start and then each minute.
    func saySometimes(now: MonotonicTime) {
        guard nextDrainStory.map({ $0 <= now }) ?? true, let story = drainStory(now: now) else { return }
        nextDrainStory = now.advanced(by: Supervisor.storyInterval)
        log.warning("worker: \(story)")
    }

    // MARK: the dump

    /// Lines that are written before the log's reader gets them.
    private static let dumpBatch = 100

    /// The state of every slot and every delivery to the log, whatever its level.
    func dump() {
        let now = MonotonicTime.now
        var lines = ["State of \(options.node): \(status)"]
        let respawn = pool.respawn
        lines.append(
            "pool: \(respawn.failures) failed start(s) in a row, generation \(pool.launcher.generation) of \(pool.launcher.program.path)")
        lines.append("outbox: \(intake.outbox.isUnderWay ? "a batch is under way" : "nothing is under way"), \(intake.unsettled) unsettled")
        for slot in pool.slots {
            let retires = slot.isRetiring ? ", retires" : ""
            guard !slot.isEmpty else {
                lines.append("slot \(slot.number): empty\(retires)")
                continue
            }
            for child in slot.children {
                let role = child.isServing ? "" : child === slot.successor ? " (successor)" : " (leaves)"
                lines.append("slot \(slot.number)\(retires): pid \(child.process.pid)\(role): \(story(of: child, now: now))")
            }
        }
        for child in pool.corpses { lines.append("corpse of slot \(child.slot.number): pid \(child.process.pid)") }
        for delivery in intake.deliveries.sorted(by: { ($0.assignment, $0.tag.value) < ($1.assignment, $1.tag.value) }) {
            lines.append(
                "delivery \(delivery.name) from \(delivery.queue): \(delivery.lifecycle.progress), \(delivery.lifecycle.settlement), assignment \(delivery.assignment), tag \(delivery.tag.value)"
            )
        }
        var log = log
        log.logLevel = .notice
        for (index, line) in lines.enumerated() {
            log.notice("\(line)")
            if index % Supervisor.dumpBatch == Supervisor.dumpBatch - 1 { sink.flush() }
        }
    }

    private func story(of child: Child, now: MonotonicTime) -> String {
        func left(_ deadline: MonotonicTime?, _ what: String) -> String? {
            deadline.map { "\(what) in \(tenths($0.seconds(since: now))) s" }
        }
        let hand = child.lifecycle.hand
        let names = hand.assignments.map { intake.name(of: $0) ?? "assignment \($0)" }
        let state =
            switch child.lifecycle.state {
            case .starting: "starting"
            case .working: hand.isEmpty ? "idle" : "working"
            case .stopping: "stopping"
            case .killed(let reason, _): "killed (\(reason))"
            case .ended: "ended"
            }
        return [
            state, "for \(tenths(now.seconds(since: child.spawnedAt))) s", "heard of \(tenths(now.seconds(since: child.lastHeard))) s ago",
            "generation \(child.generation)",
            child.runningSince.map { "runs \(names.first ?? "?") for \(tenths(now.seconds(since: $0))) s" },
            left(child.softDeadline, "soft limit"), left(child.hardDeadline?.at, "hard limit"), left(child.killDeadline, "SIGKILL"),
            hand.waiting.isEmpty ? nil : "has not begun \(names.suffix(hand.waiting.count).joined(separator: ", "))",
        ].compactMap(\.self).joined(separator: ", ")
    }

    private func tenths(_ seconds: Double) -> Double { (seconds * 10).rounded() / 10 }
}
