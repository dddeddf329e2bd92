import CoppiceEventLoop
import CoppiceShared
import CoppiceSystem
import CoppiceTransport
import Glibc
import Logging

/// The master: one thread, one loop. Handlers record facts with the part that they concern; `reconcile`, once per turn, compares
/// what is with what should be and acts.
public final class Supervisor {
    let options: SupervisorOptions
    var live: LiveOptions
    /// Also for what the command line has to say to it.
    public let log: Logger
    let sink: LogSink
    let loop: EventLoop
    let pool: Pool
    let intake: Intake
    let broker: BrokerLink
    let store: StoreLink?
    let reporter: Reporter
    private var control: ControlPanel?
    var lifecycle = SupervisorLifecycle()
    let restart: RollingRestart
    var reload: Reload
    var scaler: Autoscaler?
    /// When a warm or soft shutdown becomes cold.
    var drainDeadline: MonotonicTime?
    var drainTimer: TimerSource?
    /// Whether there was an INT: the next one is in earnest.
    var wasInterrupted = false
    /// When the log is told again what a shutdown waits for.
    var nextDrainStory: MonotonicTime?
    var scalingTimer: TimerSource?

    /// Whether a take is under way.
    private var isTaking = false
    /// Whether the queues may have messages: something rang, or the last take was answered in full.
    var mayHaveMessages = true
    private var didStopChildren = false
    private var didCloseBroker = false
    /// While nothing runs any more: since when nothing has been answered.
    private var waitingSince: MonotonicTime?
    private var failure: SupervisorFailure?
    private var hadChild = false
    private var namesakes: NamesakeSearch?
    var sources: [EventSource] = []

    /// Sets everything up; nothing runs yet.
    public init(options: SupervisorOptions, live: LiveOptions, sink: LogSink) throws(SystemError) {
        self.options = options
        self.live = live
        self.sink = sink
        log = Logger(label: "coppice") { _ in SupervisorLogHandler(sink: sink, level: options.log.level) }
        CurrentProcess.ignoreBrokenPipes()
        let childLimits = DescriptorLimit.raise()
        loop = try EventLoop()
        pool = try Pool(options: options, live: live, loop: loop, log: log, childLimits: childLimits)
        intake = try Intake(options: options, live: live, pool: pool, loop: loop, log: log)
        let sessions = BrokerSessions(options)
        broker = try BrokerLink(options.broker, loop: loop, log: log) { [intake] in
            sessions.make(holding: $0, unsettled: intake.mostUnsettled)
        }
        store = sessions.joinsResults ? nil : try StoreLink(endpoint: options.results, expiry: options.resultExpiry, loop: loop, log: log)
        reporter = try Reporter(loop: loop)
        restart = RollingRestart(pool: pool)
        reload = Reload(places: options.reloadReports)
        scaler = live.scaling.map { Autoscaler($0) }
        try connect()
        try connectOrders()
    }

    /// Called once, when the first child has said which tasks it has.
    public var onFirstChild: (_ tasks: [String]) -> Void = { _ in }

    /// Reads the settings once more, for a reload. What it throws is the reason why there is none.
    public var readSettings: () throws -> (SupervisorOptions, LiveOptions) = {
        throw SupervisorFailure("the settings can't be read again", code: 1)
    }

    /// Runs until a signal or a failure ends it; returns the exit code.
    ///
    /// - Throws: `SupervisorFailure`: one line for the operator. The worker can't be started, never becomes ready, or the embedded
    ///   broker's file can't be used.
    public func run() throws -> Int32 {
        defer { sink.finish() }
        defer { pool.sandbox.close() }
        do { try pool.spawnFirst() } catch { throw SupervisorFailure("\(error)", code: error.mayPass ? 1 : 2) }
        publishReloads()
        if let former = options.formerLedgerPath.flatMap({ FormerLedger(path: $0) }) { log.warning("\(former)") }
        broker.open()
        store?.open()
        let code = try loop.run()
        if let failure { throw failure }
        return code
    }

    private func connect() throws(SystemError) {
        sources.append(try loop.afterEachTurn(priority: LoopPriority.reconcile) { [unowned self] in reconcile() })

        pool.onReady = { [unowned self] child in
            log.info("\(child.name) is ready", metadata: child.fields)
            restart.childReady(child)
            if !hadChild {
                hadChild = true
                onFirstChild(child.tasks.keys.sorted())
            }
        }
        pool.onFrame = { [unowned self] child, frame in accept(frame, from: child) }
        pool.onEnd = { [unowned self] child, death in childEnded(child, death) }
        pool.onOutput = { [unowned self] child, line in tell(.warning, line.text, of: line.assignment, child, line.stream.rawValue) }
        broker.holding = { [unowned self] in intake.holding }
        broker.onHopeless = { [unowned self] reason in fail(reason) }
        broker.onEvent = { [unowned self] event in accept(event) }
        store?.onStored = { [unowned self] batch in
            progressed()
            intake.outbox.recordsStored(batch)
        }
        store?.onStanding = { [unowned self] store in intake.outbox.storeReturned(store) }
        control = ControlPanel(
            node: options.node, quiet: { [unowned self] in quiet($0) },
            revoke: { [unowned self] ids, signal in
                // For nodes that are not up, or come later: the request itself is heard by those that are.
                broker.standing?.revoke(ids)
                return intake.revoke(ids, signal: signal)
            }, status: { [unowned self] in status }, runTimes: { [unowned self] in pool.runTimes })
        reporter.status = { [unowned self] in status }
        reporter.isHealthy = { [unowned self] in failure == nil }
        // A cold shutdown is a matter of seconds.
        reporter.needsTime = { [unowned self] in lifecycle.drainMode != .cold && !isOutOfPatience(now: .now) }
    }

    // MARK: facts

    private func accept(_ frame: UpFrame, from child: Child) {
        switch frame {
        case .ready, .heartbeat, .pledge: break
        case .call(let assignment, let arguments, let keywords): intake.called(assignment, arguments: arguments, keywords: keywords)
        case .canvas(let assignment, let parts): intake.foundCanvas(assignment, parts)
        case .runtime(let assignment, let seconds): intake.measured(assignment, seconds: seconds)
        case .started(let assignment): intake.started(assignment, on: child)
        case .state(let assignment, let name, let meta): intake.progressed(assignment, state: name, meta: meta)
        case .returned(let assignments): intake.returned(assignments)
        case .done(let assignment, let outcome): intake.done(assignment, outcome)
        case .log(let assignment, let level, let text): tell(Supervisor.level(level), text, of: assignment, child, "logger")
        }
    }

    /// A line of a child's own.
    private func tell(_ level: Logger.Level, _ text: String, of assignment: UInt64, _ child: Child, _ stream: String) {
        var fields = child.fields(of: assignment)
        fields[LogField.stream] = .string(stream)
        log.log(level: level, "\(text)", metadata: fields)
    }

    private static func level(_ level: UpFrame.LogLevel) -> Logger.Level {
        switch level {
        case .debug: .debug
        case .info: .info
        case .warning: .warning
        case .error: .error
        }
    }

    private func childEnded(_ child: Child, _ death: Death) {
        if death.end.wasStopping, death.process == .exit(0) {
            log.debug("\(child.name) has finished", metadata: child.fields)
        } else if death.end.killed == .notWanted {
            log.debug("\(child.name) has gone: it was still starting, and is not wanted any more", metadata: child.fields)
        } else if death.isFailedStart {
            let next = death.pause.map { "; next attempt in \($0) s" } ?? ""
            log.error(
                "\(child.name) ended \(death.end.wasReady ? "as soon as" : "before") it was ready: \(death.story)\(next)",
                metadata: child.fields)
            // Shells and coppice-exec end so where a program can't be executed, and so does a worker that is wrong itself: to try again is of
            // no use.
            if lifecycle.state == .booting, !hadChild {
                switch death.process {
                case .exit(127): fail("\(live.workerPath) can't be executed: \(death.whyNotExecuted)", code: 2)
                case .exit(PipeProtocol.badWorkerExit):
                    fail("\(live.workerPath) is no worker that can run: \(death.lastLines.last ?? "exit code 78")", code: 2)
                default: break
                }
            }
        } else {
            log.error(
                "\(child.name) \(death.process == nil ? "is given up" : "exited") with \(death.story)",
                metadata: child.fields(of: death.end.hand.running))
        }
        intake.childEnded(death)
        restart.childEnded(child, death)
    }

    private func accept(_ event: BrokerEvent) {
        switch event {
        case .standing:
            isTaking = false
            mayHaveMessages = true
            if !lifecycle.takesMessages { stopTaking() }
        case .taken(let messages):
            isTaking = false
            progressed()
            if messages.isEmpty { mayHaveMessages = false }
            intake.taken(messages)
        case .gone(let tags): intake.gone(tags)
        case .revoked(let ids): _ = intake.revoke(ids, signal: nil)
        case .rang: mayHaveMessages = true
        case .committed(let batch, let verdicts):
            progressed()
            intake.committed(batch, verdicts)
        case .orphaned(let messages):
            // Once we sign off they are the next one's to find.
            if !didCloseBroker { intake.orphaned(messages) }
        case .recovered(let count):
            log.warning("\(count) message(s) of a node that died are back in their queues")
            mayHaveMessages = true
        case .control(let body): answer(body)
        case .notice(let text): log.warning("\(text)")
        case .lost:
            isTaking = false
            intake.outbox.brokerLost()
        }
    }

    private func answer(_ body: [UInt8]) {
        guard let request = ControlRequest(body), let value = control?.answer(request) else { return }
        if let replyTo = request.replyTo {
            var reply = JSONObject()
            reply.append(options.node, value)
            broker.standing?.reply(
                ControlReply(
                    exchange: replyTo.exchange, routingKey: replyTo.routingKey, ticket: replyTo.ticket,
                    body: JSONValue.object(reply).bytes))
        }
        broker.flush()
    }

    // MARK: what follows

    private func reconcile() {
        let now = MonotonicTime.now
        pool.turnEnds(now: now)
        intake.endRevoked()
        switch lifecycle.state {
        case .booting, .running: keepRunning(now: now)
        case .draining(let mode): drain(mode, now: now)
        case .finished: return
        }
        exchange()
        // A broker without a wire has answered already.
        if intake.hasReady, lifecycle.takesMessages {
            handOut()
            exchange()
        }
        pool.flush()
        store?.drain()
        if lifecycle.isDraining { finishIfDone(now: now) }
        sink.flush()
    }

    private func keepRunning(now: MonotonicTime) {
        beginReloadIfWanted(now: now)
        restart.advance(now: now)
        pool.spawnMissing(now: now)
        if pool.respawn.isExhausted, pool.children.isEmpty {
            fail("\(live.workerPath) does not become ready, or ends at once: \(pool.respawn.failures) attempts failed; giving up")
            return
        }
        if !lifecycle.isQuiet { handOut() }
        if lifecycle.state == .booting, broker.isStanding, store.map({ $0.standing != nil }) ?? true, pool.readyCount > 0,
            lifecycle.becameReady()
        {
            log.warning("\(options.node) ready.")
            reporter.ready()
            askForNamesakes()
        }
        // What was released meanwhile, or had been on its way, goes back, too.
        if lifecycle.isQuiet { intake.giveBack() }
    }

    /// Not while others may have what we hold: after a pause of this process the broker is asked first.
    private func handOut() {
        if broker.isTrusted, !intake.outbox.isFull { intake.handOut() }
    }

    /// One question to the broker at a time: what has to be settled and what there is room for, in one piece. What comes up while it is
    /// under way makes the next, so that under load each carries many tasks, and an idle master asks at once.
    private func exchange() {
        broker.standing?.allow(unsettled: intake.mostUnsettled)
        guard !isTaking, !intake.outbox.isUnderWay else { return }
        intake.outbox.flush(broker: broker.standing, store: store?.standing, joined: store == nil)
        take()
        if isTaking || intake.outbox.isUnderWay || intake.outbox.isPublishing { broker.flush() }
    }

    /// Takes what there is room for, once a child has said which tasks it has. Not for every single place, since a batch
    /// costs as much as one, unless a child has nothing to do, or what is taken has come already: then it is to find its place by priority.
    private func take() {
        guard lifecycle.takesMessages, mayHaveMessages, let session = broker.standing, broker.isTrusted, pool.readyCount > 0 else { return }
        let room = intake.room
        guard room > 0 else { return }
        guard options.broker.givesUnasked || room * 4 >= intake.window * 3 || !intake.hasReady && pool.hasIdle else { return }
        isTaking = true
        session.take(upTo: room)
    }

    private func askForNamesakes() {
        namesakes = NamesakeSearch(options.node, at: options.broker, loop: loop) { [unowned self] in
            log.warning(
                "Another node that is up is called \(options.node), too: give each a name of its own (--hostname), or whoever asks or orders one hits both"
            )
        }
    }

    private func drain(_ mode: SupervisorLifecycle.DrainMode, now: MonotonicTime) {
        if !didStopChildren {
            didStopChildren = true
            restart.abandon("the node stops")
            pool.isSpawning = false
            pool.stopAll()
            stopTaking()
        }
        if mode == .cold { pool.killAll() } else { saySometimes(now: now) }
        // A take that was under way when the signal came may still bring something; it goes back, too.
        intake.giveBack()
    }

    func stopTaking() {
        broker.standing?.stopTaking()
        broker.flush()
    }

    /// Ends when nothing runs, everything is settled and the lease has been given up; or when no answer has come for too long. What is left
    /// then is found by others when our lease runs out, as after a kill -9.
    private func finishIfDone(now: MonotonicTime) {
        guard pool.isEmpty else {
            waitingSince = nil
            return
        }
        waitingSince = waitingSince ?? now
        if !didCloseBroker, intake.isSettled, !isTaking {
            didCloseBroker = true
            waitingSince = now
            broker.close()
        }
        guard didCloseBroker && (broker.isOver || !broker.isStanding) || isOutOfPatience(now: now) else { return }
        if !didCloseBroker {
            log.error("leaving with \(intake.unsettled) message(s) not settled, since nothing is answered any more: \(servers)")
        }
        if !pool.corpses.isEmpty {
            log.error("leaving \(pool.corpses.count) corpse(s) behind: \(pool.corpses.map(\.name).joined(separator: ", "))")
        }
        lifecycle.finished()
        loop.exit(lifecycle.exitCode)
    }

    /// The broker or the result store has answered.
    private func progressed() { waitingSince = nil }

    private func isOutOfPatience(now: MonotonicTime) -> Bool {
        let patience = lifecycle.drainMode == .cold ? 2.0 : 10.0
        return waitingSince.map { now.seconds(since: $0) >= patience } ?? false
    }

    private func fail(_ reason: String, code: Int32 = 1) {
        failure = SupervisorFailure(reason, code: code)
        reporter.failing(reason)
        _ = lifecycle.drain(.cold, exitCode: 1)
    }

    var servers: String { [broker.status, store?.complaint].compactMap(\.self).joined(separator: ", ") }
}
