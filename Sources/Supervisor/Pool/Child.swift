import CoppiceEventLoop
import CoppiceShared
import CoppiceSystem
import Logging

/// One child process with its pipes and what watches them. Dropped when it has ended.
final class Child {
    /// Lets go of the child when it has ended.
    let slot: Slot
    /// Counts the children of a pool's life.
    let number: UInt64
    /// Its launcher's.
    let generation: Int
    let process: ChildProcess
    let channel: ChildChannel
    let outputs: [ChildOutput]
    let enclosure: Enclosure
    var lifecycle = ChildLifecycle()
    var labels = TaskLabels()
    let spawnedAt: MonotonicTime
    /// Bytes: the most memory that the master had had resident when it spawned the child.
    let parentPeak = ProcessStatus.peakMemory(of: CurrentProcess.id)

    /// From `ready`.
    var tasks: [String: TaskDeclaration] = [:]
    var ahead = 0
    var beats = false

    /// Seconds in which it must be ready, and until when that is.
    let startTimeout: Double
    var startDeadline: MonotonicTime
    /// Since it is ready, while nothing is done: from when on its start counts as one that succeeded.
    var probationEnd: MonotonicTime?
    /// When it was last heard of.
    var lastHeard: MonotonicTime
    /// When the last bytes came of a frame whose end has not come.
    var inFrameSince: MonotonicTime?
    /// When the running assignment started.
    var runningSince: MonotonicTime?
    /// The running assignment's limits.
    var softDeadline: MonotonicTime?
    var hardDeadline: (at: MonotonicTime, limit: Double)?
    /// Until when the running assignment has promised to be heard of, and within how many seconds that was.
    var pledge: (until: MonotonicTime, seconds: Double)?
    /// What is next in its hand while nothing runs, and since when.
    var awaited: (assignment: UInt64, since: MonotonicTime)?
    var recallSent = false
    /// What it has in hand must take nobody else's work along.
    var runsAlone = false
    /// The soft limit of its data, in bytes, that it gets back when a suspect is out of its hand; nil: it has it.
    var ordinaryDataLimit: UInt64?
    /// After a signal that may be survived, or a stop frame: when SIGKILL follows.
    var killDeadline: MonotonicTime?
    /// After it has closed its pipe: when it must have ended.
    var hangUpDeadline: MonotonicTime?
    /// After SIGKILL: when it counts as a corpse.
    var goneDeadline: MonotonicTime?
    /// It has ended and can't be reaped: a tracer is told first, and does not listen.
    var isHeld = false
    /// When it was killed: the most memory that it had had resident, and what its main thread did.
    var peakSeen: Int?
    var stateSeen: Character?
    /// Since when its runtime reports its crash.
    var crashingSince: MonotonicTime?
    /// It has gone on after what looked like a report: what else looks like one does not count.
    var quotesReports = false
    var lastLines = LastLines()
    /// Seconds; falls and rises with what its tasks take. Unknown at first: such a child is given one task at a time.
    private(set) var meanRuntime: Double?

    /// What keeps the loop's sources alive.
    var frameSource: IOMember?
    var writeSource: IOSource?
    var exitSource: IOSource?

    init(_ launched: ChildLauncher.Launched, by launcher: ChildLauncher, number: UInt64, in slot: Slot, now: MonotonicTime) {
        self.slot = slot
        self.number = number
        generation = launched.generation
        mostTaken = launcher.mostTaken
        startTimeout = launcher.startTimeout
        process = launched.process
        channel = launched.channel
        outputs = launched.outputs
        enclosure = launched.enclosure
        spawnedAt = now
        startDeadline = now.advanced(by: startTimeout)
        lastHeard = now
    }

    /// How it is called in the log.
    var name: String { "Child \(slot.number) (pid \(process.pid))" }
    /// For lines of the log that concern it: its place, and the task that it runs.
    var fields: Logger.Metadata { fields(of: lifecycle.hand.running) }

    func fields(of assignment: UInt64?) -> Logger.Metadata {
        var fields = assignment.flatMap { labels[$0]?.fields } ?? [:]
        fields[LogField.slot] = .stringConvertible(slot.number)
        fields[LogField.childPID] = .stringConvertible(Int(process.pid))
        return fields
    }

    /// Whether it is the one of its slot that is given work.
    var isServing: Bool { slot.child === self }

    /// How many assignments it was given and has not given back, and how many it may be given.
    private(set) var taken = 0
    let mostTaken: Int

    func took(_ count: Int) { taken += count }

    /// Bytes that it held when that was last looked at, and when to look again.
    var measuredAt: MonotonicTime?
    var measureDue: MonotonicTime?
    /// It is to be replaced: not before this time.
    var replacementDue: MonotonicTime?

    func ran(for seconds: Double) {
        meanRuntime = meanRuntime.map { $0 * 0.8 + seconds * 0.2 } ?? seconds
    }

    /// How many more assignments it could be given now.
    var room: Int {
        guard isServing, !isHeld, lifecycle.isWorking, slot.mayRunMore else { return 0 }
        let count = lifecycle.hand.count
        // What it still has to give back comes before what is written ahead.
        if recallSent { return count == 0 ? 1 : 0 }
        // What ran alone in a hand that is empty again is history.
        if runsAlone, count > 0 { return 0 }
        return max(0, min(handLimit - count, mostTaken - taken))
    }

    /// How many assignments it may have in hand.
    private var handLimit: Int {
        guard ahead > 0, let meanRuntime, meanRuntime < Pool.shortTask else { return 1 }
        return 1 + min(ahead, Pool.mostAhead)
    }

    // The loop must let go of a descriptor before it is closed: while a copy of it stands in some process that is just being started, the kernel
    // would go on to tell of a source that is no more.
    deinit { close() }

    /// Lets go of everything.
    func close() {
        exitSource = nil
        closePipes()
    }

    /// Its end is still noticed.
    func closePipes() {
        frameSource = nil
        writeSource = nil
        channel.close()
        for output in outputs { output.close() }
    }
}
