import CoppiceShared
import CoppiceSystem
import CoppiceTransport

/// What children say of their assignments, and what their deaths make of them: each end becomes one step for the outbox.
extension Intake {
    func called(_ assignment: UInt64, arguments: [UInt8], keywords: [UInt8]) {
        byAssignment[assignment]?.call = (arguments, keywords)
    }

    func measured(_ assignment: UInt64, seconds: Double) { byAssignment[assignment]?.runtime = seconds }

    /// The task runs, and what its message wants to follow it does not.
    func foundCanvas(_ assignment: UInt64, _ parts: [String]) {
        guard let delivery = byAssignment[assignment], canvasWarnings.isDue(delivery.message.name, now: .now) else { return }
        log.warning(
            "Task \(delivery.name) is run without its \(parts.joined(separator: ", ")): canvas is not there yet, and none of it will be sent (--refuse-canvas sets such messages aside)",
            metadata: delivery.fields)
    }

    func started(_ assignment: UInt64, on child: Child) {
        guard let delivery = byAssignment[assignment] else { return }
        unclaim(delivery)
        delivery.lifecycle.started()
        delivery.startedAt = .now
        pool.limit(
            child, soft: delivery.message.softTimeLimit ?? delivery.declaration?.softTimeLimit ?? live.softTimeLimit,
            hard: delivery.message.hardTimeLimit ?? delivery.declaration?.timeLimit ?? live.timeLimit, now: .now)
        let writes = write(delivery, Verdict.started(delivery.message, pid: child.process.pid, node: options.node))
        if delivery.startStep == .startEarly || !writes.isEmpty {
            delivery.unsentStart = outbox.add(delivery, delivery.startStep, writes: writes)
        }
        if delivery.endsBy != nil { toEnd.append(delivery) }
    }

    /// Those of which the start was heard in this turn and the end was not; called once per turn: a short task may be done by now, and what came
    /// behind it would be hit.
    func endRevoked() {
        for delivery in toEnd { _ = endIfRunning(delivery) }
        toEnd.removeAll()
    }

    func progressed(_ assignment: UInt64, state: String, meta: [UInt8]) {
        guard let delivery = byAssignment[assignment] else { return }
        let writes = write(delivery, Verdict.progress(delivery.message, state: state, meta: meta))
        guard !writes.isEmpty else { return }
        // However often a task tells of itself: of what has not been sent only the last counts.
        if let place = delivery.unsentProgress {
            outbox.replace(place, writes: writes)
        } else {
            delivery.unsentProgress = outbox.add(delivery, .keep, writes: writes)
        }
    }

    /// A child gave back what it had not started: it comes before what is ready, but for what has been revoked meanwhile.
    func returned(_ assignments: [UInt64]) {
        let deliveries = assignments.compactMap { byAssignment.removeValue(forKey: $0) }
        for delivery in deliveries { delivery.lifecycle.becameReady() }
        let now = WallTime.now
        ready.prepend(deliveries.filter { $0.isGone || !discardIfOver($0, now: now) })
    }

    func done(_ assignment: UInt64, _ outcome: Outcome) {
        guard let delivery = byAssignment.removeValue(forKey: assignment) else { return }
        processed += 1
        delivery.ended(now: .now)
        let message = delivery.message
        switch outcome {
        case .success(let json) where json.count > SupervisorOptions.largestResult:
            let reason = "a result of \(json.count) bytes; at most \(SupervisorOptions.largestResult) are stored"
            log.error("Task \(delivery.name) is set aside: \(reason)", metadata: delivery.fields)
            conclude(delivery, Verdict.failure(message, Verdict.unusable(reason)), .setAside(reason: reason))
        case .success(let json):
            log.info("Task \(delivery.name) succeeded in \(Self.seconds(delivery))s: \(Self.shown(json))", metadata: delivery.fields)
            conclude(delivery, Verdict.success(message, json))
        case .failure(let failure) where failure.type == TaskFailure.unusableType && failure.module == TaskFailure.unusableModule:
            // The message, not the task, is what won't do.
            let reason = failure.arguments.first?.string ?? failure.summary
            log.error("Task \(delivery.name) is set aside: \(reason)", metadata: delivery.fields)
            conclude(delivery, Verdict.failure(message, failure), .setAside(reason: reason))
        case .failure(let failure):
            log.error(
                "Task \(delivery.name) raised unexpected: \(failure.summary)\(failure.traceback.map { "\n\($0)" } ?? "")",
                metadata: delivery.fields)
            // The child could not read the message: it is kept, since the fault is not the task's.
            let unreadable = failure.module == "kombu.exceptions" && (failure.type == "DecodeError" || failure.type == "ContentDisallowed")
            conclude(
                delivery, Verdict.failure(message, failure),
                unreadable ? .setAside(reason: failure.summary) : .conclude)
        case .retry(let delay, let failure):
            guard let publication = TaskPublication.retry(of: message, at: WallTime.now.advanced(by: delay)) else {
                conclude(delivery, Verdict.failure(message, failure))
                return
            }
            log.info("Task \(delivery.name) retry: \(Verdict.retryText(delay: delay, because: failure))", metadata: delivery.fields)
            var routed = publication
            // Back to this queue, whatever else its exchange would lead to.
            routed.exchange = ""
            routed.routingKey = delivery.queue
            conclude(delivery, Verdict.retry(message, delay: delay, because: failure), publications: [routed])
        case .ignore:
            log.info("Task \(delivery.name) ignored", metadata: delivery.fields)
            conclude(delivery, nil)
        case .reject(let requeue, let reason):
            log.warning("Task \(delivery.name) reject requeue=\(requeue ? "True" : "False"): \(reason)", metadata: delivery.fields)
            if requeue {
                conclude(delivery, nil, .putBack(front: false))
            } else {
                conclude(
                    delivery, Verdict.failure(message, Verdict.rejected(reason)),
                    .setAside(reason: "rejected by the task: \(reason)"))
            }
        }
    }

    private static func seconds(_ delivery: Delivery) -> String { Seconds.text(delivery.runtime ?? 0) }

    /// A result as the log shows it: its JSON text, cut where Celery cuts.
    private static func shown(_ json: [UInt8]) -> String {
        json.count <= 1024 ? String(decoding: json, as: UTF8.self) : String(decoding: json.prefix(1021), as: UTF8.self) + "..."
    }

    private func conclude(
        _ delivery: Delivery, _ record: ResultRecord?, _ step: Commit.Step = .conclude, publications: [TaskPublication] = []
    ) {
        delivery.lifecycle.concluded()
        var writes = record.map { write(delivery, $0) } ?? []
        if let place = delivery.unsentStart {
            // Started and ended in one turn: what came before the end is announced, but storing it would be overwritten in the same step.
            var overtaken = [place, delivery.unsentProgress].compactMap(\.self).flatMap { outbox.withdraw($0) }
            for index in overtaken.indices { overtaken[index].reach = .announce }
            delivery.unsentStart = nil
            delivery.unsentProgress = nil
            if !writes.isEmpty { writes = overtaken + writes }
        }
        outbox.add(delivery, step, attempt: delivery.record.note(for: step), writes: writes, publications: publications)
    }

    func write(_ delivery: Delivery, _ record: ResultRecord) -> [ResultWrite] {
        guard delivery.storesResult || record.state == .failure && storesFailures(of: delivery) else { return [] }
        var record = record
        if live.extendsResults { record.extended = delivery.extended(node: options.node) }
        return [ResultWrite(record, of: delivery.message)]
    }

    /// Whether failures are stored although results are ignored.
    private func storesFailures(of delivery: Delivery) -> Bool {
        delivery.declaration?.storesErrorsEvenIfIgnored ?? live.storesErrorsEvenIfIgnored
    }

    /// A child is gone. What it had not started is ready again; what ran gets its verdict.
    func childEnded(_ death: Death) {
        let end = death.end
        var waiting = Array(end.hand.waiting)
        if let next = end.hand.next, end.killed == nil, !end.wasStopping, isTooMuch(next, death) { waiting.removeFirst() }
        returned(waiting)
        guard let running = end.hand.running, let delivery = byAssignment.removeValue(forKey: running) else { return }
        delivery.ended(now: .now)
        let message = delivery.message
        switch end.killed {
        case _ where end.hitAnother && delivery.acksLate:
            log.warning("Task \(delivery.name) goes back to its queue: \(death.story)", metadata: delivery.fields)
            conclude(delivery, nil, .putBack(front: true))
        case _ where end.hitAnother: lose(delivery, death)
        case .revoked:
            log.warning("Task \(delivery.name) terminated", metadata: delivery.fields)
            conclude(delivery, Verdict.revoked(message, "terminated"))
        case .hardTimeLimit(let limit):
            log.error(
                "Hard time limit (\(limit)s) exceeded for \(delivery.name): \(death.story)\(death.lament.map { "\n\($0)" } ?? "")",
                metadata: delivery.fields)
            conclude(delivery, Verdict.failure(message, Verdict.hardTimeLimit(limit, death)))
        case .shutdown where delivery.acksLate:
            log.warning("Task \(delivery.name) goes back to its queue: cold shutdown", metadata: delivery.fields)
            conclude(delivery, nil, .putBack(front: true))
        case .shutdown, .silent, .pledgeBroken, .crashReport, .protocolError, .overMemory, .overstayed, nil: lose(delivery, death)
        // Such a one runs nothing; if it does all the same its task is lost.
        case .neverReady, .neverBegan, .notWanted: lose(delivery, death)
        }
    }

    /// Children that may die before a message that they have not begun.
    private static let mostIdleDeaths = 3

    /// Whether what a child had before it when it died has to be set aside: to read it may be what children die of.
    private func isTooMuch(_ assignment: UInt64, _ death: Death) -> Bool {
        guard let delivery = byAssignment[assignment] else { return false }
        delivery.wantsProvenChild = true
        if !death.isFailedStart { delivery.idleDeaths += 1 }
        guard delivery.idleDeaths >= Intake.mostIdleDeaths else { return false }
        byAssignment.removeValue(forKey: assignment)
        refuse(delivery, "\(delivery.idleDeaths) children died before they had begun it, the last so: \(death.story)")
        return true
    }

    private func lose(_ delivery: Delivery, _ death: Death) {
        let story = death.story + suspicion(delivery)
        delivery.record.died(story, lastLines: death.lastLines)
        let lament = death.lament.map { "\n\($0)" } ?? ""
        if delivery.acksLate, delivery.declaration?.rejectOnWorkerLost ?? false {
            guard !isExhausted(delivery) else {
                delivery.lifecycle.concluded()
                return setAsidePoison(delivery)
            }
            log.error("Task \(delivery.name) goes back to its queue: its child died: \(story)\(lament)", metadata: delivery.fields)
            conclude(delivery, nil, .putBack(front: true))
            return
        }
        let failure = Verdict.lost(death, assignment: delivery.assignment)
        log.error("Task \(delivery.name) is lost: \(failure.summary)\(lament)", metadata: delivery.fields)
        conclude(delivery, Verdict.failure(delivery.message, failure))
    }

    /// What must be said of a death beside its cause, where the task had less memory than others.
    private func suspicion(_ delivery: Delivery) -> String {
        guard delivery.child?.ordinaryDataLimit != nil, let bytes = live.poison.suspectMemory else { return "" }
        return "; as a suspect it was given \(bytes >> 20) MiB"
    }
}
