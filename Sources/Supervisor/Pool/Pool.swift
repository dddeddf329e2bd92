import CoppiceEventLoop
import CoppiceShared
import CoppiceSystem
import Glibc
import Logging

/// The slots and their children: spawning, listening, limits, ends. Knows assignments as numbers; what they mean is the owner's.
///
/// Facts go to the owner through the closures, at most one frame's worth at a time; the owner acts on them in its `reconcile`.
final class Pool {
    /// Seconds in which a child must say ready.
    static let startTimeout = 10.0
    /// Seconds between a child's heartbeats, and how long it may be silent.
    static let heartbeat = 1.0
    static let silence = 3.5
    /// Seconds between a signal that may be survived and SIGKILL.
    static let killDelay = 2.0
    /// A task under this many seconds is short: more may be written ahead.
    static let shortTask = 0.005
    /// How long the running task may take before what is written behind it is recalled.
    static let recallDelay = 0.02
    /// The most that is written ahead to one child.
    static let mostAhead = 16
    /// Bytes read from one child in one turn.
    private static let readLimit = 1 << 18

    private let options: SupervisorOptions
    private let loop: EventLoop
    private let log: Logger
    private let environment: [String]
    private let childLimits: DescriptorLimit
    private(set) var slots: [Slot]
    private(set) var respawn = RespawnPolicy()
    private var timer: TimerSource?
    private var timerTime: MonotonicTime?
    /// Slots whose channel has unsent frames.
    private var unflushed: [Slot] = []
    /// Whether ended children are replaced.
    var isSpawning = true
    /// A child became ready.
    var onReady: (Slot) -> Void = { _ in }
    /// A frame that is legal in the child's phase.
    var onFrame: (Slot, UpFrame) -> Void = { _, _ in }
    /// A child is gone: reaped and its pipe drained.
    var onEnd: (Slot, Child, ChildLifecycle.End, ProcessEnd) -> Void = { _, _, _, _ in }
    /// A child has been read from: as much as one turn allows.
    var onRead: () -> Void = {}
    /// A line on a child's standard output or error.
    var onOutput: (Slot, String) -> Void = { _, _ in }

    init(options: SupervisorOptions, loop: EventLoop, log: Logger, childLimits: DescriptorLimit) throws(SystemError) {
        self.options = options
        self.loop = loop
        self.log = log
        self.childLimits = childLimits
        environment =
            ChildEnvironment(parent: CurrentProcess.environment, names: options.childEnvironment, timeZone: options.timeZone).entries
        slots = (1...options.concurrency).map(Slot.init)
        timer = try loop.timer(priority: LoopPriority.timeLimits) { [unowned self] in deadlinesReached() }
    }

    // MARK: what the owner asks

    var children: some Sequence<Child> { slots.lazy.compactMap(\.child) }
    var isEmpty: Bool { slots.allSatisfy { $0.child == nil } }
    var readyCount: Int { children.reduce(0) { $0 + ($1.lifecycle.isWorking ? 1 : 0) } }
    var busyCount: Int { children.reduce(0) { $0 + ($1.lifecycle.hand.isEmpty ? 0 : 1) } }

    var hasIdle: Bool { children.contains { $0.lifecycle.isWorking && $0.lifecycle.hand.isEmpty } }

    /// Whether a child that is ready, or may become so, has the task.
    func knows(_ task: String) -> Bool {
        var starting = false
        for child in children {
            if child.tasks[task] != nil { return true }
            if child.lifecycle.isStarting { starting = true }
        }
        return starting
    }

    func declaration(of task: String) -> TaskDeclaration? {
        for child in children { if let declaration = child.tasks[task] { return declaration } }
        return nil
    }

    /// How many assignments the children that work could be given now.
    var room: Int {
        children.reduce(0) { sum, child in
            // What ran alone in a hand that is empty again is history.
            guard child.lifecycle.isWorking, !child.recallSent, !child.runsAlone || child.lifecycle.hand.isEmpty else { return sum }
            return sum + max(0, child.handLimit(shortTask: Pool.shortTask, most: Pool.mostAhead) - child.lifecycle.hand.count)
        }
    }

    /// The child that is given the next assignment of this task: the one with the emptiest hand that has room.
    ///
    /// - Parameter idle: only one that has nothing in hand.
    func place(for task: String, idle: Bool) -> Slot? {
        var best: Slot?
        var bestCount = Int.max
        for slot in slots {
            guard let child = slot.child, child.lifecycle.isWorking, child.tasks[task] != nil else { continue }
            let count = child.lifecycle.hand.count
            if count == 0 { return slot }
            if idle || child.runsAlone { continue }
            if count < bestCount, !child.recallSent, count < child.handLimit(shortTask: Pool.shortTask, most: Pool.mostAhead) {
                best = slot
                bestCount = count
            }
        }
        return best
    }

    /// Writes an assignment to a child that `place` has named.
    ///
    /// - Parameter alone: nothing is written behind it.
    func hand(_ run: RunFrame, to slot: Slot, alone: Bool) {
        guard let child = slot.child else { return }
        child.runsAlone = alone
        child.lifecycle.handed(run.assignment)
        child.channel.send(.run(run))
        unflushed.append(slot)
    }

    /// Sends what has been queued for children in this turn.
    func flush() {
        for slot in unflushed {
            guard let child = slot.child else { continue }
            child.channel.flush()
            if child.channel.hasBacklog { watchWrites(slot, child) }
        }
        unflushed.removeAll(keepingCapacity: true)
    }

    /// The running assignment's limits, in seconds from now; nil: none.
    func limit(_ child: Child, soft: Double?, hard: Double?, now: MonotonicTime) {
        child.softDeadline = soft.map { now.advanced(by: $0) }
        child.hardDeadline = hard.map { (now.advanced(by: $0), $0) }
        for deadline in [child.softDeadline, child.hardDeadline?.at] { wake(at: deadline) }
    }

    /// Sends a signal to the group of the child that runs this assignment, if it still does; it is gone for good two seconds later.
    func terminate(_ slot: Slot, assignment: UInt64, signal: Int32) -> Bool {
        guard let child = slot.child, child.lifecycle.isRunning(assignment) else { return false }
        kill(slot, .revoked, signal: signal)
        return true
    }

    /// Ends a child for a reason that is recorded first.
    func kill(_ slot: Slot, _ reason: ChildLifecycle.KillReason, signal: Int32 = SIGKILL) {
        guard let child = slot.child, child.lifecycle.kill(reason) else { return }
        child.process.signalGroup(signal)
        if signal != SIGKILL {
            child.killDeadline = MonotonicTime.now.advanced(by: Pool.killDelay)
            wake(at: child.killDeadline)
        }
    }

    /// Asks every child to finish what it has started and go.
    func stopAll() {
        for slot in slots {
            guard let child = slot.child else { continue }
            if child.lifecycle.isStarting {
                kill(slot, .shutdown)
            } else if child.lifecycle.stop() {
                child.channel.send(.stop)
                unflushed.append(slot)
                expectEnd(of: child)
            }
        }
        flush()
    }

    /// Kills every child.
    func killAll() {
        for slot in slots { kill(slot, .shutdown) }
    }

    /// Spawns the very first child.
    ///
    /// - Throws: what tells the operator that the wrong thing was named: missing, not executable, wrong format.
    func spawnFirst() throws(SystemError) { try spawn(slots[0], now: .now) }

    /// Spawns what is missing; called once per turn.
    func spawnMissing(now: MonotonicTime) {
        guard isSpawning else { return }
        for slot in slots where slot.child == nil {
            guard respawn.maySpawn(now: now) else {
                wake(at: respawn.notBefore)
                return
            }
            do {
                try spawn(slot, now: now)
            } catch {
                respawn.startFailed(now: now)
                log.error("can't start a child: \(error); next attempt in \(respawn.pause) s")
            }
        }
    }

    // MARK: one child

    private func spawn(_ slot: Slot, now: MonotonicTime) throws(SystemError) {
        let null = try Descriptor.open("/dev/null", flags: O_RDWR)
        let down = try Descriptor.pipe()
        let up = try Descriptor.pipe()
        let output = try Descriptor.pipe()
        let errors = try Descriptor.pipe()
        for end in [down.write, up.read, output.read, errors.read] { try end.setNonBlocking() }
        let process = try ChildProcess.spawn(
            path: options.workerPath, arguments: [options.workerPath], environment: environment,
            descriptors: .init([null, output.write, errors.write, down.read, up.write]))
        process.resetDescriptorLimit(childLimits)
        let channel = ChildChannel(down: down.write, up: up.read)
        let child = Child(process: process, channel: channel, outputs: [ChildOutput(output.read), ChildOutput(errors.read)], now: now)
        slot.child = child
        do {
            try watch(slot, child)
        } catch {
            // Out of memory or of watches: the child can't be kept.
            process.signalGroup(SIGKILL)
            throw error
        }
        var settings = JSONObject()
        settings.append("max_retries", .int(options.maximumRetries))
        if let timeZone = options.timeZone { settings.append("timezone", .string(timeZone)) }
        if options.extendsResults { settings.append("wants_calls", true) }
        channel.send(
            .hello(.init(slot: UInt32(slot.number), node: options.node, heartbeat: UInt32(Pool.heartbeat * 1000), settings: settings)))
        channel.flush()
        wake(at: now.advanced(by: Pool.startTimeout))
        log.debug("Child \(slot.number) (pid \(process.pid)) spawned")
    }

    private func watch(_ slot: Slot, _ child: Child) throws(SystemError) {
        child.sources.append(
            try loop.watch(child.channel.upDescriptor, for: .read, priority: LoopPriority.childFrames) {
                [unowned self, unowned slot, weak child] _ in
                if let child, slot.child === child { receive(slot, child) }
            })
        child.sources.append(
            try loop.watch(child.process.pidfd.raw, for: .read, priority: LoopPriority.childExits) {
                [unowned self, unowned slot, weak child] _ in
                if let child, slot.child === child { exited(slot, child) }
            })
        for output in child.outputs {
            child.sources.append(
                try loop.watch(output.descriptor, for: .read, priority: LoopPriority.childOutput) {
                    [unowned self, unowned slot, weak child] _ in
                    guard let child else { return }
                    if !output.receive({ self.onOutput(slot, $0) }) {
                        // Closed by the child; without a reader's interest the loop would spin on the hang-up.
                        child.sources.removeAll { $0.descriptor == output.descriptor }
                    }
                })
        }
    }

    private func watchWrites(_ slot: Slot, _ child: Child) {
        guard child.writeSource == nil else { return }
        child.writeSource = try? loop.watch(child.channel.downDescriptor, for: .write, priority: LoopPriority.childFrames) {
            [weak child] _ in
            guard let child else { return }
            child.channel.flush()
            if !child.channel.hasBacklog { child.writeSource = nil }
        }
    }

    private func receive(_ slot: Slot, _ child: Child) {
        let now = MonotonicTime.now
        child.lastHeard = now
        do {
            let reading = try child.channel.receive(limit: Pool.readLimit) { frame in accept(frame, from: slot, child, now: now) }
            // The other end is closed; the exit follows, or the silence is noticed.
            if reading == .end { child.sources.removeAll { $0.descriptor == child.channel.upDescriptor } }
        } catch {
            complain("a bad frame: \(error)", slot, child)
        }
        onRead()
    }

    private func accept(_ frame: UpFrame, from slot: Slot, _ child: Child, now: MonotonicTime) {
        let complaint: ChildLifecycle.Complaint?
        switch frame {
        case .ready(let ready):
            complaint = ready.version == PipeProtocol.version ? child.lifecycle.ready() : "protocol version \(ready.version)"
            if complaint == nil { becameReady(slot, child, ready, now: now) }
        case .call(let assignment, _, _): complaint = child.lifecycle.isNext(assignment) ? nil : "a call of what is not next in its hand"
        case .started(let assignment):
            complaint = child.lifecycle.started(assignment)
            child.runningSince = now
            if child.lifecycle.hand.count > 1 { wake(at: now.advanced(by: Pool.recallDelay)) }
        case .done(let assignment, _):
            complaint = child.lifecycle.done(assignment)
            if let since = child.runningSince { child.ran(for: now.seconds(since: since)) }
            child.runningSince = nil
            child.softDeadline = nil
            child.hardDeadline = nil
        case .returned(let assignments):
            complaint = child.lifecycle.returned(assignments)
            child.recallSent = false
        case .state(let assignment, _, _):
            complaint = child.lifecycle.isRunning(assignment) ? nil : "a state of what does not run"
        case .heartbeat, .log: complaint = child.lifecycle.isStarting ? "a frame before ready" : nil
        }
        if case .stopping = child.lifecycle.state { expectEnd(of: child) }
        if let complaint {
            complain(complaint, slot, child)
        } else if !child.lifecycle.isKilled || isResult(frame) {
            onFrame(slot, frame)
        }
    }

    /// A child that was asked to stop and has nothing in hand must go soon.
    private func expectEnd(of child: Child) {
        guard child.lifecycle.hand.isEmpty, child.killDeadline == nil else { return }
        child.killDeadline = MonotonicTime.now.advanced(by: Pool.killDelay)
        wake(at: child.killDeadline)
    }

    /// What a child wrote before it was killed counts if it settles something.
    private func isResult(_ frame: UpFrame) -> Bool {
        switch frame {
        case .call, .started, .done, .returned, .state: true
        case .ready, .log, .heartbeat: false
        }
    }

    private func becameReady(_ slot: Slot, _ child: Child, _ ready: UpFrame.Ready, now: MonotonicTime) {
        guard !child.lifecycle.isKilled else { return }
        child.ahead = ready.recalls ? Int(ready.ahead) : 0
        child.beats = ready.beats
        for task in ready.tasks { child.tasks[task.name] = task }
        respawn.becameReady()
        if child.beats { wake(at: now.advanced(by: Pool.silence)) }
        onReady(slot)
    }

    private func complain(_ complaint: String, _ slot: Slot, _ child: Child) {
        guard !child.lifecycle.isKilled else { return }
        log.error("Child \(slot.number) (pid \(child.process.pid)) breaks the protocol: \(complaint); it is killed")
        kill(slot, .protocolError(complaint))
    }

    private func exited(_ slot: Slot, _ child: Child) {
        // Whatever it has spawned goes with it. Before it is reaped: so long its number belongs to nobody else.
        child.process.signalGroup(SIGKILL)
        guard let processEnd = child.process.reap() else { return }
        // All that it wrote is in the pipe by now. A grandchild may hold the other end open, so an empty pipe is enough.
        while let reading = try? child.channel.receive(limit: .max, { accept($0, from: slot, child, now: .now) }), reading == .more {}
        for output in child.outputs {
            _ = output.receive { onOutput(slot, $0) }
            output.finish { onOutput(slot, $0) }
        }
        let end = child.lifecycle.ended()
        slot.child = nil
        child.close()
        if !end.wasReady, end.killed != .shutdown { respawn.startFailed(now: .now) }
        onEnd(slot, child, end, processEnd)
    }

    // MARK: deadlines

    /// Makes sure that the timer fires at `time` or before. It is never put off: a turn too many does no harm.
    private func wake(at time: MonotonicTime?) {
        guard let time, timerTime.map({ time < $0 }) ?? true else { return }
        timerTime = time
        timer?.set(time)
    }

    private func deadlinesReached() {
        timerTime = nil
        let now = MonotonicTime.now
        for slot in slots {
            guard let child = slot.child else { continue }
            check(slot, child, now: now)
        }
        // Missing children are spawned by the reconciliation that follows.
        flush()
    }

    /// Acts on the deadlines that are reached and sets the timer for those that are not.
    private func check(_ slot: Slot, _ child: Child, now: MonotonicTime) {
        func reached(_ deadline: MonotonicTime?) -> Bool {
            guard let deadline else { return false }
            if deadline <= now { return true }
            wake(at: deadline)
            return false
        }
        if reached(child.killDeadline) {
            child.killDeadline = nil
            if !child.lifecycle.isKilled { _ = child.lifecycle.kill(.overstayed) }
            child.process.signalGroup(SIGKILL)
        }
        guard !child.lifecycle.isKilled else { return }
        if child.lifecycle.isStarting {
            if reached(child.spawnedAt.advanced(by: Pool.startTimeout)) {
                log.error(
                    "Child \(slot.number) (pid \(child.process.pid)) did not become ready within \(Int(Pool.startTimeout)) s; it is killed")
                kill(slot, .neverReady)
            }
            return
        }
        if child.beats, reached(child.lastHeard.advanced(by: Pool.silence)) {
            log.error("Child \(slot.number) (pid \(child.process.pid)) has been silent for \(Pool.silence) s; it is killed")
            kill(slot, .silent)
            return
        }
        if let hard = child.hardDeadline, reached(hard.at) {
            log.error("Hard time limit (\(hard.limit)s) exceeded in child \(slot.number) (pid \(child.process.pid)); it is killed")
            kill(slot, .hardTimeLimit(hard.limit))
            return
        }
        if reached(child.softDeadline), let running = child.lifecycle.hand.running {
            child.softDeadline = nil
            child.channel.send(.cancel(assignment: running, reason: .softTimeLimit))
            unflushed.append(slot)
        }
        if child.lifecycle.hand.count > 1, !child.recallSent, reached(child.runningSince?.advanced(by: Pool.recallDelay)) {
            child.recallSent = true
            child.channel.send(.recall)
            unflushed.append(slot)
        }
    }
}
