import CoppiceShared
import CoppiceSystem
import Glibc

/// A real master, this program's own `worker` command, on a file of its own.
final class TuneWorker {
    /// Seconds that a master has to go when it is told to.
    private static let patience = 5.0
    /// Bytes of its log that are shown when it ends by itself.
    private static let mostLog = 2000
    /// Variables that could lead it somewhere else, or make it another one than its flags say.
    private static let refused = [
        "COPPICE_", "CELERY_", "REDIS_", "NOTIFY_SOCKET=", "WATCHDOG_", "CREDENTIALS_DIRECTORY=", "RUNTIME_DIRECTORY=",
        "DATETIME_TIMEZONE=", "AUTOSCALE_KEEPALIVE=",
    ]

    private let process: ChildProcess
    private let log: String
    private var end: ProcessEnd?

    /// - Parameters:
    ///   - folder: where its log is kept.
    ///   - url: of the file.
    init(_ task: TuneTask, _ setting: TuneSetting, url: String, queue: String, node: String, folder: String) throws {
        log = folder + "/log"
        let null = try Descriptor.open("/dev/null", flags: O_RDWR)
        let output = try Descriptor.open(log, flags: O_CREAT | O_WRONLY | O_TRUNC, mode: 0o600)
        var arguments = [
            "coppice", "worker", "-A", task.app, "-c", "\(setting.concurrency)", "--prefetch-multiplier", "\(setting.prefetch)", "-Q",
            queue,
            "-n", node, "-l", "error", "--broker", url, "--result-backend", url,
        ]
        for name in task.childEnv { arguments += ["--child-env", name] }
        process = try ChildProcess.spawn(
            path: "/proc/self/exe", arguments: arguments,
            environment: CurrentProcess.environment.filter { entry in !TuneWorker.refused.contains { entry.hasPrefix($0) } },
            descriptors: .init([null, null, output]))
    }

    /// Seconds of processor time so far, of master and children.
    var processorSeconds: Double { figures.reduce(0) { $0 + $1.processorSeconds } }
    /// Of the child that has had the most.
    var childMemory: Int { figures.dropFirst().map(\.peakMemory).max() ?? 0 }

    /// The master's, then the children's.
    private var figures: [ProcessFigures] {
        guard let own = ProcessFigures(of: process.pid) else { return [] }
        return [own] + own.children.compactMap { ProcessFigures(of: $0) }
    }

    /// - Throws: what it said last, if it has ended by itself.
    func check() throws {
        guard reap() else { return }
        let text = (try? Descriptor.open(log, flags: O_RDONLY)).flatMap { try? $0.read(upTo: 1 << 20) }
        guard case .bytes(let bytes)? = text else { throw CommandFailure("the worker has ended by itself") }
        let last = String(decoding: bytes.suffix(TuneWorker.mostLog), as: UTF8.self).split(separator: "\n").suffix(3).joined(
            separator: " | ")
        throw CommandFailure("the worker has ended by itself: \(last)")
    }

    /// Ends it, cold: nothing that it holds is wanted any more.
    func stop() {
        guard !reap() else { return }
        process.signal(SIGQUIT)
        let deadline = MonotonicTime.now.advanced(by: TuneWorker.patience)
        while !reap(), .now < deadline {
            _ = try? Poll.wait([PollInterest(descriptor: process.pidfd.raw, events: .read)], until: deadline)
        }
        // Its children go with it: their pipes close.
        if end == nil { process.discard() }
    }

    private func reap() -> Bool {
        end = end ?? process.reap()?.end
        return end != nil
    }
}
