import CoppiceEventLoop
import CoppiceShared
import CoppiceSystem

/// One child process with its pipes and what watches them. Dropped when it has ended.
final class Child {
    let process: ChildProcess
    let channel: ChildChannel
    let outputs: [ChildOutput]
    var lifecycle = ChildLifecycle()
    let spawnedAt: MonotonicTime

    /// From `ready`.
    var tasks: [String: TaskDeclaration] = [:]
    var ahead = 0
    var beats = false

    /// When it was last heard of.
    var lastHeard: MonotonicTime
    /// When the running assignment started.
    var runningSince: MonotonicTime?
    /// The running assignment's limits.
    var softDeadline: MonotonicTime?
    var hardDeadline: (at: MonotonicTime, limit: Double)?
    var recallSent = false
    /// What it has in hand must take nobody else's work along.
    var runsAlone = false
    /// After a signal that may be survived, or a stop frame: when SIGKILL follows.
    var killDeadline: MonotonicTime?
    /// Seconds; falls and rises with what its tasks take. Unknown at first: such a child is given one task at a time.
    private(set) var meanRuntime: Double?

    /// What keeps the loop's sources alive.
    var sources: [IOSource] = []
    var writeSource: IOSource?

    init(process: ChildProcess, channel: ChildChannel, outputs: [ChildOutput], now: MonotonicTime) {
        self.process = process
        self.channel = channel
        self.outputs = outputs
        spawnedAt = now
        lastHeard = now
    }

    func ran(for seconds: Double) {
        meanRuntime = meanRuntime.map { $0 * 0.8 + seconds * 0.2 } ?? seconds
    }

    /// How many assignments it may have in hand.
    func handLimit(shortTask: Double, most: Int) -> Int {
        guard ahead > 0, let meanRuntime, meanRuntime < shortTask else { return 1 }
        return 1 + min(ahead, most)
    }

    func close() {
        sources.removeAll()
        writeSource = nil
        channel.close()
        for output in outputs { output.close() }
    }
}
