import CoppiceShared
import CoppiceSystem

/// From a HUP to children that know the new settings and run the new worker.
extension Supervisor {
    func reloadAsked() {
        // Whoever rotates log files sends HUP, too.
        do { try sink.reopen() } catch { log.error("the log goes on in the old file: \(error), ignoring") }
        guard !lifecycle.isDraining else {
            log.warning("No reload: the node stops")
            return
        }
        log.warning("Reload (\(options.node))\(lifecycle.state == .booting || restart.lifecycle.isUnderWay ? ": will follow" : "")")
        reload.isWanted = true
    }

    /// Once the node runs, one after the other.
    func beginReloadIfWanted(now: MonotonicTime) {
        guard reload.isWanted, lifecycle.state == .running, !restart.lifecycle.isUnderWay else { return }
        reload.isWanted = false
        reload.report.begins()
        publishReloads()
        reporter.reloading(since: now)
        do {
            let (read, live) = try readSettings()
            let differing = options.differences(from: read)
            if !differing.isEmpty {
                log.warning("Reload: \(differing.joined(separator: ", ")) changed, which takes a restart: as before until then")
            }
            restart.begin(live)
        } catch {
            reloadEnded(.failed("\(error)"))
        }
    }

    func take(over live: LiveOptions) {
        let now = MonotonicTime.now
        let isOtherSize = live.concurrency != self.live.concurrency || live.scaling != self.live.scaling
        self.live = live
        intake.live = live
        if isOtherSize { setSize(now: now) }
    }

    func reloadEnded(_ outcome: ReloadReport.Outcome) {
        reload.report.ends(outcome)
        switch outcome {
        case .done:
            reload.failure = nil
            log.warning("Reloaded: all \(pool.size) children are new")
        case .failed(let reason):
            reload.failure = reason
            log.error("The reload failed: \(reason)")
        }
        publishReloads()
        // Also where it has only just begun: whoever was told of a reload is told of its end.
        if !lifecycle.isDraining { reporter.ready() }
    }

    /// Also once at the start, so that `coppice reload` knows whom it has before it.
    func publishReloads() {
        for path in reload.places {
            do { try reload.report.write(to: path) } catch { log.warning("How reloads go is not told: \(error), ignoring") }
        }
    }
}
