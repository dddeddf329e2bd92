import CoppiceEventLoop
import CoppiceShared
import CoppiceSystem
import Glibc
import Logging

/// Removes temporary folders by a process of its own, one at a time: a tree may be large, and the disk slow.
///
/// rm goes from folder to folder by descriptor and follows no link, so what a child has put there leads it nowhere else; nor does chmod
/// follow the links that it meets.
final class FolderSweeper {
    /// A folder that its owner may not write to can't be emptied, unless by root; and what was killed may have written to one of them
    /// for a moment more. So there is a second attempt.
    private static let script = """
        /bin/rm -rf --one-file-system -- "$@" && exit
        /bin/chmod -R u+rwX -- "$@"
        exec /bin/rm -rf --one-file-system -- "$@"
        """
    /// Folders that wait; what is beyond goes with the master's own folder, at the end.
    private static let mostWaiting = 1024

    private let loop: EventLoop
    private let log: Logger
    private var waiting: [(path: String, lock: Descriptor?)] = []
    private var work: (source: IOSource, process: ChildProcess)?

    init(loop: EventLoop, log: Logger) {
        self.loop = loop
        self.log = log
    }

    /// - Parameter lock: is held until it is done.
    func remove(_ path: String, holding lock: Descriptor? = nil) {
        guard waiting.count < FolderSweeper.mostWaiting else { return }
        waiting.append((path, lock))
        goOn()
    }

    private func goOn() {
        guard work == nil, !waiting.isEmpty else { return }
        let folders = waiting
        waiting.removeAll()
        do {
            let process = try FolderSweeper.start(folders.map(\.path), holding: folders.compactMap(\.lock))
            let source = try loop.watch(process.pidfd.raw, for: .read, priority: LoopPriority.childOutput) { [unowned self] _ in ended() }
            work = (source, process)
        } catch {
            log.warning("temporary folders are left for the end: \(error)")
        }
    }

    private func ended() {
        guard let work, let (end, _) = work.process.reap() else { return }
        self.work = nil
        if end != .exit(0) { log.warning("a child's temporary folder could not be removed: rm ended with \(end.words)") }
        goOn()
    }

    private static func start(_ paths: [String], holding locks: [Descriptor]) throws(SystemError) -> ChildProcess {
        let null = try Descriptor.open("/dev/null", flags: O_RDWR)
        return try ChildProcess.spawn(
            path: "/bin/sh", arguments: ["/bin/sh", "-c", script, "sh"] + paths, environment: [],
            descriptors: .init([null, null, null] + locks))
    }

    /// The master's end: removes the whole, and waits for that no longer than `seconds`. What is left then is the next start's.
    func finish(removing path: String, within seconds: Double) {
        let deadline = MonotonicTime.now.advanced(by: seconds)
        guard let last = try? FolderSweeper.start([path], holding: []) else { return }
        for process in [work?.process, last].compactMap(\.self) {
            _ = try? Poll.wait([PollInterest(descriptor: process.pidfd.raw, events: .read)], until: deadline)
            _ = process.reap()
        }
        work = nil
    }
}
