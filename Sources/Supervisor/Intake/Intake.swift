import CoppiceEventLoop
import CoppiceShared
import CoppiceSystem
import CoppiceTransport
import Logging

/// The deliveries: from what the broker gave to what is settled. Decides what may run, hands it out, and turns each end into one step
/// for the outbox.
final class Intake {
    let options: SupervisorOptions
    var live: LiveOptions
    let pool: Pool
    let log: Logger
    private let dueTimer: TimerSource
    private(set) var revoked = RevocationTable()
    var outbox = Outbox()
    /// Of tasks that are run without what their messages want to follow.
    var canvasWarnings = WarningPace()

    var byAssignment: [UInt64: Delivery] = [:]
    /// Every delivery whose settlement is not answered.
    private var open: [DeliveryTag: Delivery] = [:]
    var ready: ReadyQueue
    /// Begun in this turn, although their end had been ordered.
    var toEnd: [Delivery] = []
    private var due = DueSchedule()
    private var lastAssignment: UInt64 = 0
    var claimed = 0
    /// Bytes of what is claimed.
    var claimedBytes = 0
    /// Deliveries for which something is being written, and those ready ones for which it stands.
    private var recording = 0
    private var recordedReady = 0
    var processed = 0
    /// How many of the ready ones wait for a child that starts, since no other has their task: as of the last hand-out.
    private var undecided = 0

    /// A time less than this far away is waited for here; a later one with the broker. Seconds.
    static let holdLimit = 2.0

    init(options: SupervisorOptions, live: LiveOptions, pool: Pool, loop: EventLoop, log: Logger) throws(SystemError) {
        self.options = options
        self.live = live
        self.pool = pool
        self.log = log
        ready = ReadyQueue(options.broker.priorityOrder)
        dueTimer = try loop.timer(priority: LoopPriority.due) {}
    }

    var holding: [DeliveryTag] { Array(open.keys) }
    /// How many deliveries are held whose settlement is not answered.
    var unsettled: Int { open.count }
    /// How many messages may be taken now: no more than the window are claimed, and of what has ended only so much waits for answers as
    /// a few batches hold, so that a store that is away stops the work; none if what is claimed is long. What waits for a child that starts
    /// has a window of its own: the others have work meanwhile.
    var room: Int {
        guard claimedBytes < TakeLimit.bytes else { return 0 }
        return min(window - claimed + min(undecided, window), 4 * (window + pool.size) - unsettled)
    }
    /// How many messages may be claimed without running.
    var window: Int { pool.size * options.prefetchMultiplier }
    /// As in `BrokerSession.allow`.
    var mostUnsettled: Int { options.unsettled(children: pool.size) }
    var hasReady: Bool { ready.count > undecided }

    /// How a task in a child's hand is called in the log.
    func name(of assignment: UInt64) -> String? { byAssignment[assignment]?.name }

    /// For the log.
    var deliveries: some Collection<Delivery> { open.values }

    // MARK: from the broker

    func taken(_ messages: [ReceivedMessage]) {
        let now = WallTime.now
        for received in messages {
            switch received.content {
            case .failure(let defect): setAside(received, defect)
            case .success(let message):
                accept(Delivery(tag: received.tag, queue: received.queue, message: message), size: received.size, now: now)
            }
        }
    }

    /// Started by a node that died: held as start records, to be concluded as lost.
    func orphaned(_ messages: [ReceivedMessage]) {
        for received in messages {
            switch received.content {
            case .failure(let defect): setAside(received, defect)
            case .success(let message):
                let delivery = Delivery(tag: received.tag, queue: received.queue, message: message)
                delivery.lifecycle.discarded()
                open[delivery.tag] = delivery
                log.error("Task \(delivery.name) was running on a node that died", metadata: delivery.fields)
                let failure = Verdict.lost("its node died")
                outbox.add(delivery, .conclude, writes: write(delivery, Verdict.failure(message, failure)))
            }
        }
    }

    /// This node was taken for dead: what it has not started is not started here any more.
    func gone(_ tags: [DeliveryTag]) {
        for tag in tags { open[tag]?.isGone = true }
        log.warning("\(tags.count) message(s) that this node held have gone to others: it was silent for too long")
    }

    func committed(_ batch: UInt64, _ verdicts: [CommitVerdict]) {
        for (entry, verdict) in zip(outbox.committed(batch), verdicts) {
            let delivery = entry.delivery
            switch entry.commit.step {
            case .startEarly, .keep: if delivery.record.state == .ordered { recorded(delivery, verdict) }
            case .conclude, .putBack, .park, .setAside:
                if case .refused(let why) = verdict {
                    refused(entry, why)
                    continue
                }
                settled(delivery, held: !verdict.isVoid)
                if verdict.isVoid, !entry.isReplay {
                    log.warning("Task \(delivery.name): settlement is void, the message is not ours any more", metadata: delivery.fields)
                }
            }
        }
    }

    /// The broker refuses to send a follow-up on: that is the task's end, whatever it had come to.
    private func refused(_ entry: Outbox.Entry, _ why: String) {
        let delivery = entry.delivery
        let reason = "what it sends on can't be published: \(why)"
        log.error("Task \(delivery.name) is set aside: \(reason)", metadata: delivery.fields)
        let step = Commit.Step.setAside(reason: reason)
        outbox.add(
            delivery, step, attempt: delivery.record.note(for: step),
            writes: write(delivery, Verdict.failure(delivery.message, Verdict.unusable(reason))))
    }

    private func settled(_ delivery: Delivery, held: Bool) {
        delivery.lifecycle.settled(held: held)
        open[delivery.tag] = nil
    }

    /// What had to stand before the hand-out does: first in the queue again, unless the message is not ours any more or the task has
    /// died too often.
    private func recorded(_ delivery: Delivery, _ verdict: CommitVerdict) {
        recording -= 1
        switch verdict {
        case .void:
            abandon(delivery)
            return
        case .done, .refused: delivery.record.stands(earlier: [])
        case .begun(let earlier): delivery.record.stands(earlier: earlier)
        }
        if isExhausted(delivery) {
            unclaim(delivery)
            delivery.lifecycle.discarded()
            setAsidePoison(delivery)
        } else {
            delivery.lifecycle.becameReady()
            ready.appendRecorded(delivery)
            recordedReady += 1
        }
    }

    /// Whether it has died as often as one may.
    func isExhausted(_ delivery: Delivery) -> Bool {
        delivery.record.deaths.count >= delivery.declaration?.mostDeaths ?? live.poison.mostDeaths
    }

    /// A task that has died as often as one may goes to the dead-letter place with the stories; who waits for it is told.
    func setAsidePoison(_ delivery: Delivery) {
        let deaths = delivery.record.deaths
        let reason = Verdict.count(deaths)
        log.error(
            "Task \(delivery.name) is set aside: \(reason): \(deaths.map(\.description).joined(separator: "; "))", metadata: delivery.fields
        )
        let step = Commit.Step.setAside(reason: reason, deaths: deaths)
        outbox.add(
            delivery, step, attempt: delivery.record.note(for: step),
            writes: write(delivery, Verdict.failure(delivery.message, Verdict.poisonous(deaths))))
    }

    /// It has started, or is not for us to start.
    func unclaim(_ delivery: Delivery) {
        claimed -= 1
        claimedBytes -= delivery.size
    }

    private func accept(_ delivery: Delivery, size: Int, now: WallTime) {
        let message = delivery.message
        open[delivery.tag] = delivery
        claimed += 1
        delivery.size = size
        claimedBytes += size
        delivery.declaration = pool.declaration(of: message.name)
        if size > SupervisorOptions.largestMessage {
            refuse(delivery, "a message of \(size) bytes; at most \(SupervisorOptions.largestMessage) are taken")
        } else if message.contentType != "application/json" {
            refuse(
                delivery, "content type \(message.contentType) is not accepted",
                TaskFailure(
                    type: "ContentDisallowed", module: "kombu.exceptions",
                    arguments: [.string("Refusing to deserialize content of type \(message.contentType)")]))
        } else if message.name == BuiltInTask.cleanup {
            cleanUp(delivery, now: now)
        } else if !pool.has(message.name), pool.oldestStart == nil {
            refuseUnknown(delivery)
        } else if discardIfOver(delivery, now: now) {
            return
        } else if let eta = message.eta, eta > now {
            wait(delivery, until: eta, now: now)
        } else {
            log.info("Task \(delivery.name) received", metadata: delivery.fields)
            delivery.lifecycle.becameReady()
            ready.append(delivery)
        }
    }

    /// There is nothing to do, at whatever time.
    private func cleanUp(_ delivery: Delivery, now: WallTime) {
        if discardIfOver(delivery, now: now) { return }
        log.info("Task \(delivery.name) succeeded: results expire by themselves", metadata: delivery.fields)
        discard(delivery, .conclude, Verdict.success(delivery.message, Array("null".utf8)))
    }

    private func refuseUnknown(_ delivery: Delivery) {
        let name = delivery.message.name
        log.error("Received unregistered task of type \(PythonRepr.string(name))", metadata: delivery.fields)
        if let refusal = BuiltInTask.refusal(of: name) {
            refuse(delivery, refusal)
        } else {
            refuse(delivery, "no worker here has the task \(name)", Verdict.notRegistered(name))
        }
    }

    private func wait(_ delivery: Delivery, until eta: WallTime, now: WallTime) {
        if eta.seconds - now.seconds > Intake.holdLimit {
            discard(delivery, .park(until: eta))
        } else {
            delivery.lifecycle.waits(until: eta)
            due.insert(delivery, at: eta)
            setDueTimer()
        }
    }

    /// Whether the delivery has expired or been revoked; it is settled then.
    func discardIfOver(_ delivery: Delivery, now: WallTime) -> Bool {
        let why: String
        if revoked.contains(delivery.message.id) {
            why = "revoked"
        } else if let expires = delivery.message.expires, expires < now {
            why = "expired"
        } else {
            return false
        }
        log.info("Discarding \(why) task: \(delivery.name)", metadata: delivery.fields)
        discard(delivery, .conclude, Verdict.revoked(delivery.message, why))
        return true
    }

    /// Lets go of what others have.
    private func abandon(_ delivery: Delivery) {
        if delivery.isRecordedReady { recordedReady -= 1 }
        unclaim(delivery)
        delivery.lifecycle.discarded()
        settled(delivery, held: false)
    }

    private func discard(_ delivery: Delivery, _ step: Commit.Step, _ record: ResultRecord? = nil) {
        if delivery.isRecordedReady { recordedReady -= 1 }
        unclaim(delivery)
        delivery.lifecycle.discarded()
        outbox.add(delivery, step, attempt: delivery.record.note(for: step), writes: record.map { write(delivery, $0) } ?? [])
    }

    /// Puts a message aside that can't be run, and says so to who waits for its result.
    func refuse(_ delivery: Delivery, _ reason: String, _ failure: TaskFailure? = nil) {
        log.error("Task \(delivery.name) is set aside: \(reason)", metadata: delivery.fields)
        discard(
            delivery, .setAside(reason: reason),
            Verdict.failure(delivery.message, failure ?? Verdict.unusable(reason)))
    }

    private func setAside(_ received: ReceivedMessage, _ defect: MessageDefect) {
        log.error("A message from \(received.queue) is set aside: \(defect.reason)\(defect.taskID.map { " (task \($0))" } ?? "")")
        let message = TaskMessage(
            id: defect.taskID ?? "", name: defect.taskName ?? "", headers: [], contentType: "", routingKey: received.queue, body: [],
            bodyIsBase64: false)
        let delivery = Delivery(tag: received.tag, queue: received.queue, message: message)
        open[delivery.tag] = delivery
        delivery.lifecycle.discarded()
        let writes = defect.taskID == nil ? [] : write(delivery, Verdict.failure(message, Verdict.unusable(defect.reason)))
        outbox.add(delivery, .setAside(reason: defect.reason), writes: writes)
    }

    // MARK: handing out

    /// What a delivery asks of a child.
    private struct Wish: Hashable {
        var task: String
        var idle: Bool
        var proven: Bool
    }

    /// Hands out what is ready while children have room; called once per turn.
    func handOut() {
        let now = WallTime.now
        while let delivery = due.popDue(now: now) {
            if discardIfOver(delivery, now: now) { continue }
            delivery.lifecycle.becameReady()
            ready.append(delivery)
        }
        setDueTimer()
        undecided = 0
        guard !ready.isEmpty else { return }
        var room = pool.room
        // Room only shrinks in a turn: what found no place finds none behind it.
        var unplaced: Set<Wish> = []
        // Tasks that no child has that has been ready.
        var homeless: Set<String> = []
        lazy var oldestStart = pool.oldestStart
        ready.handOut { delivery in
            guard room > 0 else { return .full }
            if delivery.isGone {
                abandon(delivery)
                return .taken
            }
            if discardIfOver(delivery, now: now) { return .taken }
            let wish = Wish(
                task: delivery.message.name, idle: delivery.isStrict || delivery.record.isSuspect, proven: delivery.wantsProvenChild)
            if unplaced.contains(wish) { return .refused }
            guard !homeless.contains(wish.task), let slot = pool.place(for: wish.task, idle: wish.idle, proven: wish.proven) else {
                if !homeless.contains(wish.task), pool.has(wish.task) {
                    delivery.awaitsStart = nil
                    unplaced.insert(wish)
                    return .refused
                }
                homeless.insert(wish.task)
                guard awaitsStart(delivery, oldest: oldestStart) else {
                    refuseUnknown(delivery)
                    return .taken
                }
                undecided += 1
                return .refused
            }
            // As the child that gets it has it; as what is written down of it has been, it stays.
            if delivery.record.state == .absent { delivery.declaration = slot.child?.tasks[wish.task] }
            guard delivery.needsRecord else {
                hand(delivery, to: slot)
                room -= 1
                return .taken
            }
            guard recording + recordedReady < room else { return .refused }
            record(delivery)
            return .taken
        }
    }

    /// Whether a child that starts may have the task. Only those count that were there when it was found that no other has it: where children are
    /// recycled there is always one that starts, and the task would wait for ever.
    private func awaitsStart(_ delivery: Delivery, oldest: UInt64?) -> Bool {
        let newest = delivery.awaitsStart ?? pool.newestStart
        delivery.awaitsStart = newest
        return oldest.map { $0 <= newest } ?? false
    }

    /// Has written what must stand before the hand-out; `recorded` follows.
    private func record(_ delivery: Delivery) {
        delivery.lifecycle.records()
        recording += 1
        if delivery.isStrict {
            delivery.record.order(nil)
            outbox.add(delivery, .startEarly)
        } else {
            let story = AttemptStory(node: options.node, mark: delivery.tag.value, at: .now)
            delivery.record.order(story)
            outbox.add(delivery, .keep, attempt: .begins(story))
        }
    }

    private func hand(_ delivery: Delivery, to slot: Slot) {
        let message = delivery.message
        if delivery.isRecordedReady { recordedReady -= 1 }
        lastAssignment += 1
        delivery.assignment = lastAssignment
        delivery.lifecycle.assigned(to: slot.number)
        delivery.child = slot.child
        byAssignment[lastAssignment] = delivery
        pool.hand(
            RunFrame(
                assignment: lastAssignment, id: message.id, name: message.name, retries: UInt32(message.retries), headers: message.headers,
                contentType: message.contentType, compression: message.compression ?? "", queue: delivery.queue,
                priority: UInt8(message.priority), redelivered: message.redelivered, bodyIsBase64: message.bodyIsBase64, body: message.body),
            to: slot, alone: delivery.record.isSuspect)
    }

    private func setDueTimer() {
        dueTimer.set(due.next.map { MonotonicTime.now.advanced(by: max(0, $0.seconds - WallTime.now.seconds)) })
    }

    // MARK: orders

    /// Marks ids as revoked; with a signal, ends those that run. Returns the ids that ran here.
    func revoke(_ ids: [String], signal: Int32?) -> [String] {
        let now = MonotonicTime.now
        for id in ids { revoked.insert(id, now: now) }
        let ids = Set(ids)
        for delivery in ready.remove(where: { !$0.isGone && ids.contains($0.message.id) }) { _ = discardIfOver(delivery, now: .now) }
        var running: [String] = []
        for delivery in byAssignment.values where ids.contains(delivery.message.id) {
            // An assignment that its child gives back is discarded. The child may have begun it without our having heard of it yet.
            if !delivery.lifecycle.isRunning, let child = delivery.child { pool.recall(child) }
            guard let signal else { continue }
            delivery.endsBy = signal
            if endIfRunning(delivery) { running.append(delivery.message.id) }
        }
        return running
    }

    func endIfRunning(_ delivery: Delivery) -> Bool {
        guard let signal = delivery.endsBy, delivery.lifecycle.isRunning, let child = delivery.child,
            pool.terminate(child, assignment: delivery.assignment, signal: signal)
        else { return false }
        log.warning("Terminating \(delivery.message.id) (\(SignalName.name(signal)))", metadata: delivery.fields)
        return true
    }

    /// Gives back what no child has: to the front of its queue, the oldest first.
    func giveBack() {
        let waiting = due.removeAll()
        let queued = ready.removeAll()
        setDueTimer()
        let returned = queued + waiting
        // Pushed to the front one after the other: the oldest last.
        for delivery in returned.reversed() { discard(delivery, .putBack(front: true)) }
        if !returned.isEmpty { log.warning("Restoring \(returned.count) unacknowledged message(s)") }
    }

    /// Whether everything that was held is settled.
    var isSettled: Bool { byAssignment.isEmpty && ready.isEmpty && due.isEmpty && outbox.isEmpty }
}
