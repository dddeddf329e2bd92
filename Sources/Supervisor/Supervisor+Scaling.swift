import CoppiceEventLoop
import CoppiceShared
import CoppiceSystem

/// The number of children after the work.
extension Supervisor {
    /// Seconds between two looks.
    private static let scalingInterval = 1.0

    func connectScaling() throws(SystemError) {
        scalingTimer = try loop.timer(priority: LoopPriority.heartbeat) { [unowned self] in scale() }
        if scaler != nil { scalingTimer?.set(.now) }
    }

    private func scale() {
        guard scaler != nil else { return }
        let now = MonotonicTime.now
        scalingTimer?.set(now.advanced(by: Supervisor.scalingInterval))
        // While nothing may be begun a backlog says nothing, nor does its absence.
        guard lifecycle.state == .running, !lifecycle.isQuiet, broker.isTrusted else { return }
        var situation = Autoscaler.Situation(size: pool.size, busy: pool.slots.count(where: \.isBusy), waiting: intake.ready.count)
        if situation.busy + situation.waiting > situation.size {
            for resource in Pressure.Resource.allCases { situation.pressure[resource] = Pressure.now(on: resource)?.some }
        }
        let hindrance = scaler?.hindrance
        guard let size = scaler?.size(in: situation, now: now) else { return }
        if let new = scaler?.hindrance, new != hindrance {
            log.warning(
                "\(pool.size) children have more than enough to do, but there will be no more: \(Int(situation.pressure[new] ?? 0)) % pressure on \(new.rawValue)"
            )
        }
        guard size != pool.size else { return }
        log.info("\(size) children in place of \(pool.size): \(situation.busy) busy, \(situation.waiting) task(s) waiting")
        pool.resize(to: size, now: now)
    }

    /// After a reload.
    func setSize(now: MonotonicTime) {
        if let scaling = live.scaling {
            scaler = Autoscaler(scaling)
            scalingTimer?.set(now)
        } else {
            scaler = nil
            scalingTimer?.set(nil)
            pool.resize(to: live.concurrency, now: now)
        }
    }
}
