import CoppiceEventLoop
import CoppiceShared
import CoppiceSystem
import Glibc
import Logging

/// The slots and their children: listening, orders, ends; spawning, placement and deadlines in files of their own. Knows assignments as
/// numbers; what they mean is the owner's.
///
/// Facts go to the owner through the closures, at most one frame's worth at a time; the owner acts on them in its `reconcile`.
final class Pool {
    /// Seconds between a child's heartbeats, and how long it may be silent.
    static let heartbeat = 1.0
    static let silence = 3.0
    /// Seconds between a signal that may be survived and SIGKILL.
    static let killDelay = 2.0
    /// Seconds for which a child that wants to run may be late with what it must do.
    static let starvation = 30.0
    /// Seconds between the end of what a child can say and its exit.
    static let hangUpDelay = 1.0
    /// A task under this many seconds is short: more may be written ahead.
    static let shortTask = 0.005
    /// How long the running task may take before what is written behind it is recalled.
    static let recallDelay = 0.02
    /// The most that is written ahead to one child.
    static let mostAhead = 16
    /// Seconds within which a child must begin what is next in its hand.
    static let beginTimeout = 10.0
    /// Seconds that a child may let pass between two bytes of a frame.
    static let frameTimeout = 10.0
    /// When there was no turn for so many seconds the loop has stood still: in rest there is one each second.
    static let standstill = 2.0
    /// Seconds until a pipe is written to again that could not be watched.
    static let unwatchedPause = 0.1
    /// How many children are spawned in one turn.
    static let mostSpawnsInTurn = 16
    /// How many children may be starting at a time.
    static let mostStarting = 32
    /// Bytes read from a child at once, and how often children are read in one turn before what else there is comes first.
    private static let readLimit = 1 << 18
    private static let mostReadsInTurn = 32
    /// Seconds within which a process must end after SIGKILL; one that does not is a corpse.
    static let corpseDelay = 1.0
    /// Seconds that a crash report may take.
    static let reportTimeout = 30.0
    /// Seconds after which a frame proves that a child that seemed to crash has not: its threads stand still while it reports.
    static let crashDoubt = 0.5

    let options: SupervisorOptions
    /// Those of the present generation.
    var live: LiveOptions
    let loop: EventLoop
    let log: Logger
    var launcher: ChildLauncher
    let sandbox: Sandbox
    /// What children write to us: all of them that have something to say are heard in one go.
    let frames: IOGroup
    /// In the order of their numbers.
    var slots: [Slot]
    /// Children that have been sent SIGKILL and do not end. Their slots have done with them; they are only reaped.
    var corpses: [Child] = []
    /// How many slots do not retire.
    var size: Int
    var respawn = RespawnPolicy()
    var timer: TimerSource?
    var timerTime: MonotonicTime?
    /// Children whose channel has unsent frames.
    var unflushed: [Child] = []
    /// Whether the slots' loads are of this turn.
    var isSurveyed = false
    /// Of the tasks that children have done.
    private(set) var runTimes = RunTimes()
    private var readsInTurn = 0
    /// When the last turn ended.
    var lastTurn = MonotonicTime.now
    /// Those that are to be replaced.
    var wornOut: [Child] = []
    /// Seconds that the last child took from its spawn until it was ready.
    private(set) var startDuration = 0.05
    /// How many children have been spawned: the number of the newest.
    var newestStart: UInt64 = 0
    /// Whether ended children are replaced.
    var isSpawning = true
    /// A child became ready.
    var onReady: (Child) -> Void = { _ in }
    /// A frame that is legal in the child's phase.
    var onFrame: (Child, UpFrame) -> Void = { _, _ in }
    /// A child is gone: reaped and its pipe drained. It is in no slot any more.
    var onEnd: (Child, Death) -> Void = { _, _ in }
    /// A line on a child's standard output or error.
    var onOutput: (Child, OutputLine) -> Void = { _, _ in }

    init(options: SupervisorOptions, live: LiveOptions, loop: EventLoop, log: Logger, childLimits: DescriptorLimit) throws(SystemError) {
        self.options = options
        self.live = live
        self.loop = loop
        self.log = log
        sandbox = Sandbox(options.sandbox, loop: loop, log: log)
        launcher = ChildLauncher(options, live, generation: 1, descriptorLimit: childLimits, sandbox: sandbox)
        slots = (1...live.concurrency).map(Slot.init)
        size = live.concurrency
        frames = try loop.group(priority: LoopPriority.childFrames)
        timer = try loop.timer(priority: LoopPriority.timeLimits) { [unowned self] in deadlinesReached(now: .now) }
    }

    /// To be called at the end of each turn.
    func turnEnds(now: MonotonicTime) {
        if readsInTurn >= Pool.mostReadsInTurn { frames.set(priority: LoopPriority.childFrames) }
        readsInTurn = 0
        isSurveyed = false
        noticeStandstill(now: now)
    }

    // MARK: what the owner asks

    /// Those that are given work.
    var serving: some Sequence<Child> { slots.lazy.compactMap(\.child) }
    /// Those, their successors, and those that leave.
    var children: [Child] { slots.flatMap(\.children) }
    var isEmpty: Bool { slots.allSatisfy(\.isEmpty) }
    var readyCount: Int { serving.reduce(0) { $0 + ($1.lifecycle.isWorking ? 1 : 0) } }
    var busyCount: Int { children.reduce(0) { $0 + ($1.lifecycle.hand.isEmpty ? 0 : 1) } }

    var hasIdle: Bool { serving.contains { $0.lifecycle.isWorking && $0.lifecycle.hand.isEmpty } }

    /// Whether a child that has been ready has the task.
    func has(_ task: String) -> Bool { serving.contains { $0.tasks[task] != nil } }

    /// The oldest child that may yet say that it has a task, by its number: one that starts, be it the successor of another. While none works
    /// that is anybody's guess, since the last may have died a moment ago: 0. nil: there is none.
    var oldestStart: UInt64? {
        guard serving.contains(where: \.lifecycle.isWorking) else { return 0 }
        return children.lazy.filter(\.lifecycle.isStarting).map(\.number).min()
    }

    func declaration(of task: String) -> TaskDeclaration? {
        for child in serving { if let declaration = child.tasks[task] { return declaration } }
        return nil
    }

    /// Sends a signal to the child's group if it still runs this assignment; it is gone for good two seconds later.
    func terminate(_ child: Child, assignment: UInt64, signal: Int32) -> Bool {
        guard child.lifecycle.isRunning(assignment) else { return false }
        kill(child, .revoked, signal: signal)
        return true
    }

    /// Ends a child for a reason that is recorded first.
    func kill(_ child: Child, _ reason: ChildLifecycle.KillReason, signal: Int32 = SIGKILL) {
        guard child.lifecycle.kill(reason) else { return }
        guard signal != SIGKILL else { return killForGood(child, now: .now) }
        child.process.signalGroup(signal)
        child.killDeadline = MonotonicTime.now.advanced(by: Pool.killDelay)
        wake(at: child.killDeadline)
    }

    /// Asks every child to finish what it has started and go.
    func stopAll() {
        for child in children { dismiss(child, now: .now) }
        flush()
    }

    /// Asks a child to finish what it has started, give back the rest and go; one that is still starting is killed.
    func dismiss(_ child: Child, now: MonotonicTime) {
        if child.lifecycle.isStarting {
            kill(child, .notWanted)
        } else if child.lifecycle.stop() {
            child.channel.send(.stop)
            unflushed.append(child)
            expectEnd(of: child, now: now)
        }
    }

    /// Kills every child.
    func killAll() {
        for child in children { kill(child, .shutdown) }
    }

    // MARK: one child

    func receive(_ child: Child) {
        let now = MonotonicTime.now
        child.lastHeard = now
        noticeLife(of: child, now: now)
        readPendingOutput(of: child)
        do {
            let reading = try child.channel.receive(limit: Pool.readLimit) { frame in accept(frame, from: child, now: now) }
            child.inFrameSince = child.channel.isInFrame ? now : nil
            wake(at: child.inFrameSince?.advanced(by: Pool.frameTimeout))
            switch reading {
            case .empty, .more: break
            case .end:
                // The other end is closed: the exit follows, or a process that can't say anything any more.
                child.frameSource = nil
                child.hangUpDeadline = now.advanced(by: Pool.hangUpDelay)
                wake(at: child.hangUpDeadline)
            case .failed(let error):
                child.frameSource = nil
                complain("its pipe can't be read: \(error)", child)
            }
        } catch {
            complain("a bad frame: \(error)", child)
        }
        // Children that write without end would keep everything else waiting. From some number of reads on all of them wait until the
        // turn has ended.
        readsInTurn += 1
        if readsInTurn == Pool.mostReadsInTurn { frames.set(priority: LoopPriority.childOutput) }
    }

    func accept(_ frame: UpFrame, from child: Child, now: MonotonicTime) {
        let complaint: ChildLifecycle.Complaint?
        switch frame {
        case .ready(let ready):
            complaint = ready.version == PipeProtocol.version ? child.lifecycle.ready() : "protocol version \(ready.version)"
            if complaint == nil { becameReady(child, ready, now: now) }
        case .call(let assignment, _, _): complaint = child.lifecycle.isNext(assignment) ? nil : "a call of what is not next in its hand"
        case .started(let assignment):
            complaint = child.lifecycle.started(assignment)
            child.runningSince = now
            if child.lifecycle.hand.count > 1 { wake(at: now.advanced(by: Pool.recallDelay)) }
        case .done(let assignment, _):
            endOutput(of: child, assignment)
            complaint = child.lifecycle.done(assignment)
            if let since = child.runningSince {
                child.ran(for: now.seconds(since: since))
                runTimes.add(now.seconds(since: since))
            }
            if complaint == nil { startSucceeded(child) }
            child.runningSince = nil
            child.softDeadline = nil
            child.hardDeadline = nil
            child.pledge = nil
            loosen(child)
        case .pledge(let assignment, let seconds):
            complaint = child.lifecycle.isRunning(assignment) ? nil : "a pledge of what does not run"
            child.pledge = (now.advanced(by: seconds), seconds)
            wake(at: child.pledge?.until)
        case .returned(let assignments):
            complaint = child.lifecycle.returned(assignments)
            if complaint == nil { child.took(-assignments.count) }
            child.recallSent = false
            if child.lifecycle.hand.isEmpty { loosen(child) }
        case .canvas(let assignment, _), .runtime(let assignment, _):
            complaint = child.lifecycle.isRunning(assignment) ? nil : "a report of what does not run"
        case .state(let assignment, _, _):
            complaint = child.lifecycle.isRunning(assignment) ? nil : "a state of what does not run"
        case .heartbeat, .log: complaint = child.lifecycle.isStarting ? "a frame before ready" : nil
        }
        expectBeginning(of: child, now: now)
        expectEnd(of: child, now: now)
        measure(child, after: frame, now: now)
        if let complaint {
            complain(complaint, child)
        } else if !child.lifecycle.isKilled || isResult(frame) {
            onFrame(child, frame)
        }
    }

    /// What a child wrote before it was killed counts if it settles something.
    private func isResult(_ frame: UpFrame) -> Bool {
        switch frame {
        case .call, .started, .done, .returned, .state, .runtime: true
        case .ready, .log, .heartbeat, .pledge, .canvas: false
        }
    }

    private func becameReady(_ child: Child, _ ready: UpFrame.Ready, now: MonotonicTime) {
        guard !child.lifecycle.isKilled else { return }
        child.ahead = ready.recalls ? Int(ready.ahead) : 0
        child.beats = ready.beats
        for task in ready.tasks { child.tasks[task.name] = task }
        child.probationEnd = now.advanced(by: RespawnPolicy.probation)
        wake(at: child.probationEnd)
        startDuration = now.seconds(since: child.spawnedAt)
        if child.beats { wake(at: now.advanced(by: Pool.silence)) }
        if child.slot.successor === child { succeed(in: child.slot, now: now) }
        onReady(child)
    }

    func startSucceeded(_ child: Child) {
        guard child.probationEnd != nil else { return }
        child.probationEnd = nil
        respawn.startSucceeded()
    }

    func complain(_ complaint: String, _ child: Child) {
        guard !child.lifecycle.isKilled else { return }
        log.error("\(child.name) breaks the protocol: \(complaint); it is killed", metadata: child.fields)
        kill(child, .protocolError(complaint))
    }
}
