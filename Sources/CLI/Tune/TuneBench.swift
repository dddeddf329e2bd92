import CoppiceShared
import CoppiceSystem
import Glibc

/// Measures one task with real masters, each on a new file in a folder of its own, which goes when the bench does.
final class TuneBench {
    /// The most tasks of a run.
    private static let mostTasks = 10_000
    /// Seconds of the trial after which the task's speed is known well enough.
    private static let trialTime = 0.3
    /// Of the latency: the most tasks, the fewest for which it is tried, and the shortest time between two, in seconds.
    private static let mostProbes = 100
    private static let fewestProbes = 3.0
    private static let shortestPause = 0.01

    private let task: TuneTask
    private let folder: String
    private var runs = 0

    init(_ task: TuneTask) throws {
        self.task = task
        var template = Array(((CurrentProcess.environment("TMPDIR") ?? "/tmp") + "/coppice-tune-XXXXXX").utf8CString)
        // The template is null-terminated, and mkdtemp writes over its six X alone.
        guard mkdtemp(&template) != nil else { throw CommandFailure("\(SystemError("a temporary folder"))") }
        folder = String(decoding: template.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    /// Removes what the runs have left.
    func remove() {
        clear()
        rmdir(folder)
    }

    private func clear() {
        if let listing = opendir(folder) {
            while let entry = readdir(listing) {
                let name = withUnsafePointer(to: &entry.pointee.d_name) { field in
                    // d_name is null-terminated within its 256 bytes.
                    field.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
                }
                unlink(folder + "/" + name)
            }
            closedir(listing)
        }
    }

    // MARK: runs

    /// Runs the task alone, then ever more of it with one child; returns how many a second were done.
    ///
    /// - Throws: what is wrong with the task, if it fails.
    func trial() throws -> Double {
        try run(TuneSetting(concurrency: 1, prefetch: 4)) { place in
            var count = 1
            while true {
                let ids = try place.send(count)
                let start = MonotonicTime.now
                _ = try place.finish(ids)
                let took = MonotonicTime.now.seconds(since: start)
                // The first waits for the child's start.
                if (count > 1 && took >= TuneBench.trialTime) || took >= 1 || count >= 1024 { return Double(count) / took }
                count *= 4
            }
        }
    }

    /// - Parameters:
    ///   - count: tasks.
    ///   - seconds: how long latency is looked at.
    func measure(_ setting: TuneSetting, count: Int, seconds: Double) throws -> TuneSample {
        let count = min(count, TuneBench.mostTasks)
        var ids: [String] = []
        return try run(setting, before: { place in ids = try place.send(count) }) { place in
            let start = WallTime.now.seconds
            let before = place.processorSeconds
            let done = try place.finish(ids).sorted()
            let processors = (place.processorSeconds - before) / max(1e-6, (done.last ?? 0) - start)
            let rate = rate(of: done, setting, since: start)
            let runTime = try place.runTime()
            let memory = place.childMemory
            return TuneSample(
                tasksPerSecond: rate, runTime: runTime, latency: try latency(rate: rate, seconds: seconds, place), processors: processors,
                childMemory: memory)
        }
    }

    /// Tasks a second.
    ///
    /// - Parameter done: when each was done, the first first.
    private func rate(of done: [Double], _ setting: TuneSetting, since start: Double) -> Double {
        guard let last = done.last else { return 0 }
        // The children's start is over when each has had one, and some more: of fewer than that it is a part.
        let first = max(setting.concurrency, done.count / 10)
        guard done.count >= 2 * first else { return Double(done.count) / max(1e-6, last - start) }
        return Double(done.count - first) / max(1e-6, last - done[first - 1])
    }

    /// Sends half as many as can be done, and looks when each is.
    private func latency(rate: Double, seconds: Double, _ place: TunePlace) throws -> TuneSample.Percentiles? {
        let pause = max(TuneBench.shortestPause, 2 / rate)
        guard seconds / pause >= TuneBench.fewestProbes else { return nil }
        var sent: [(id: String, at: Double)] = []
        var next = MonotonicTime.now
        while sent.count < min(TuneBench.mostProbes, Int(seconds / pause)) {
            try TunePlace.rest(until: next)
            next = next.advanced(by: pause)
            let at = WallTime.now.seconds
            for id in try place.send(1) { sent.append((id, at)) }
        }
        let done = try place.finish(sent.map(\.id))
        return TuneSample.Percentiles(zip(sent, done).map { max(0, $1 - $0.at) })
    }

    private func run<Value>(
        _ setting: TuneSetting, before: (TunePlace) throws -> Void = { _ in }, _ body: (TunePlace) throws -> Value
    ) throws -> Value {
        runs += 1
        let place = TunePlace(task, folder: folder, number: runs)
        defer {
            place.stop()
            clear()
        }
        try before(place)
        try place.start(setting)
        return try body(place)
    }
}
