import CoppiceEventLoop
import CoppiceShared
import CoppiceSystem
import Glibc
import Logging

/// What confines children: the cgroups, the steps that a trampoline takes before it becomes the child, the folders for temporary files.
///
/// `ChildLauncher` asks it at each start, `Pool` tells it of each end.
final class Sandbox {
    /// The name of the master's folder among the temporary files, and of the program that takes steps.
    private static let folderName = "coppice-children"
    private static let trampolineName = "coppice-exec"
    /// The version of the trampoline's arguments.
    private static let trampolineFormat = "1"
    /// Seconds between attempts to remove a cgroup, and for which the end waits for what has to be removed.
    private static let sweepPause = 1.0
    private static let patience = 2.0

    private let options: SandboxOptions
    private let log: Logger
    private let sweeper: FolderSweeper
    private var groups: ChildGroups?
    private var folder: PrivateFolder?
    private var folderNumber = 0
    /// What the trampoline does before it becomes the worker; empty: that is started itself.
    private var steps: [String] = []
    private var oomScore: Int?

    init(_ options: SandboxOptions, loop: EventLoop, log: Logger) {
        self.options = options
        self.log = log
        sweeper = FolderSweeper(loop: loop, log: log)
    }

    /// Sets up what all children share. Says once in the log which limit can't be set here, or not as it was meant.
    ///
    /// - Parameters:
    ///   - children: how many there are, for a limit that counts them together.
    ///   - tightensSuspects: whether a running child's memory is to be limited for a while.
    /// - Throws: what keeps the node from confining its children as it was told to.
    func open(children: Int, tightensSuspects: Bool) throws(SystemError) {
        groups = try claimGroups()
        limitGroups()
        steps = try trampolineSteps(children: children)
        if !steps.isEmpty { _ = try Sandbox.findTrampoline() }
        if tightensSuspects, options.user != nil, !CurrentProcess.mayLimitOtherUsers {
            log.warning("--suspect-memory: to limit a process of another user takes CAP_SYS_RESOURCE: nothing is limited")
        }
        if options.hasPrivateFolder {
            let parent = CurrentProcess.environment("TMPDIR").flatMap { $0.hasPrefix("/") ? $0 : nil } ?? "/tmp"
            for left in PrivateFolder.leftBehind(in: parent, name: Sandbox.folderName) { sweeper.remove(left.path, holding: left.lock) }
            folder = try PrivateFolder(in: parent, name: Sandbox.folderName)
        }
        if options.oomScoreAdjustment > 0, let own = TextFile.read("/proc/self/oom_score_adj"), let score = Int(own.prefix { $0 != "\n" }) {
            oomScore = min(1000, score + options.oomScoreAdjustment)
        }
    }

    private func claimGroups() throws(SystemError) -> ChildGroups? {
        switch options.groups {
        case .off: return nil
        case .on:
            guard let own = ControlGroup.own else { throw SystemError("find this process's cgroup of version 2", code: ENOENT) }
            return try groups(in: own)
        case .auto:
            guard let own = ControlGroup.own, own.isDelegated else { return nil }
            do { return try groups(in: own) } catch {
                log.warning("children get no cgroups of their own: \(error)")
                return nil
            }
        }
    }

    private func groups(in own: ControlGroup) throws(SystemError) -> ChildGroups {
        // Who can't be started in one goes by itself.
        if !ChildProcess.canStartInCgroup { _ = try Sandbox.findTrampoline() }
        return try ChildGroups(base: own, wanted: wantedControllers)
    }

    /// Memory always, so that a death by the kernel's hand can be told from others.
    private var wantedControllers: Set<String> {
        var wanted: Set = ["memory"]
        if options.processor != nil { wanted.insert("cpu") }
        if options.processes != nil { wanted.insert("pids") }
        return wanted
    }

    private func limitGroups() {
        guard let groups else { return }
        if let memory = options.memory, groups.controllers.contains("memory") {
            // All processes of a child go together: one that lost its helpers would be of no use.
            groups.limits += [("memory.max", String(memory)), ("memory.oom.group", "1")]
            // What may not be in memory may not be in swap instead. The file is there only where swap is counted.
            if groups.base.child("supervisor").has("memory.swap.max") { groups.limits.append(("memory.swap.max", "0")) }
        }
        if let percent = options.processor, groups.controllers.contains("cpu") {
            groups.limits.append(("cpu.max", "\(percent * 1000) 100000"))
        }
        if let processes = options.processes, groups.controllers.contains("pids") {
            groups.limits.append(("pids.max", String(processes)))
        }
        let names = groups.controllers.isEmpty ? "no controllers" : groups.controllers.sorted().joined(separator: ", ")
        log.info("children have cgroups of their own in \(groups.base.path) (\(names))")
    }

    /// What a process has to do to itself, since its master can't do it from outside before the first instruction.
    private func trampolineSteps(children: Int) throws(SystemError) -> [String] {
        let controllers = groups?.controllers ?? []
        var steps: [String] = []
        if let memory = options.memory, !controllers.contains("memory") {
            steps.append("data=\(memory)")
            log.warning("--child-memory: there is no memory controller here: RLIMIT_DATA limits each process of a child by itself")
        }
        if options.processor != nil, !controllers.contains("cpu") {
            log.warning("--child-cpu: there is no cpu controller here: nothing is limited")
        }
        if let processes = options.processes, !controllers.contains("pids") {
            if let user = options.user, user.id != 0 {
                // A child and its successor at once.
                steps.append("processes=\(processes * children * 2)")
                log.warning("--child-pids: there is no pids controller here: RLIMIT_NPROC limits all that user \(user.id) runs, together")
            } else {
                log.warning("--child-pids: there is no pids controller here, and children have no user of their own: nothing is limited")
            }
        }
        if let user = options.user {
            guard CurrentProcess.mayStartOtherUsers else {
                throw SystemError("start children as user \(user.id), which takes CAP_SETUID, CAP_SETGID and CAP_KILL", code: EPERM)
            }
            steps.append("user=\(user.id):\(user.group)")
            if !user.groups.isEmpty { steps.append("groups=\(user.groups.map(String.init).joined(separator: ","))") }
        }
        if options.forbidsNewPrivileges { steps.append("no-new-privileges") }
        return steps
    }

    /// Beside this program, as after a build, or where `make install` puts it.
    private static func findTrampoline() throws(SystemError) -> String {
        let folder = (CurrentProcess.executable ?? "").split(separator: "/").dropLast().map { "/" + $0 }.joined()
        for path in [folder + "/" + trampolineName, folder + "/../libexec/coppice/" + trampolineName] where access(path, X_OK) == 0 {
            return path
        }
        throw SystemError("find \(trampolineName) in \(folder) or \(folder)/../libexec/coppice", code: ENOENT)
    }

    /// What of the children's environment is not as their master's.
    func environment(_ entries: [String]) -> [String] {
        var entries = entries
        if options.hasPrivateFolder { entries.removeAll { $0.hasPrefix("TMPDIR=") } }
        if let home = options.user?.home {
            entries.removeAll { $0.hasPrefix("HOME=") }
            entries.append("HOME=\(home)")
        }
        return entries
    }

    // MARK: one child

    /// How the program at `path` is started: its own arguments, behind the trampoline's if that is needed. A path that is not there or no
    /// program is said at once, as execve would.
    ///
    /// - Parameters:
    ///   - descriptor: under which the process gets the program, if its path does not lead to it any more.
    ///   - files: how many files it may have open. Without the trampoline that is the master's to set.
    func arguments(
        for path: String, standingAt descriptor: Int?, in enclosure: Enclosure, files: DescriptorLimit
    ) throws(SystemError) -> [String] {
        var steps = steps
        if let group = enclosure.group, !ChildProcess.canStartInCgroup { steps.append("cgroup=\(group.path)") }
        if let descriptor {
            steps.append("program=\(descriptor)")
        } else if steps.isEmpty {
            return [path]
        } else if access(path, X_OK) != 0 {
            throw SystemError("start \(path)")
        }
        steps.append("files=\(files.soft):\(files.hard)")
        return [try Sandbox.findTrampoline(), Sandbox.trampolineFormat] + steps + ["--", path]
    }

    /// Makes what a child of this slot is given.
    func enclose(slot: Int) throws(SystemError) -> Enclosure {
        var enclosure = Enclosure()
        if let folder {
            folderNumber += 1
            enclosure.folder = try folder.make("\(slot).\(folderNumber)", owner: options.user)
        }
        do {
            enclosure.group = try groups?.make(slot: slot)
            enclosure.countsMemory = groups?.controllers.contains("memory") ?? false
        } catch {
            _ = leave(enclosure)
            throw error
        }
        return enclosure
    }

    /// The pipes that a child writes its output to. /dev/stdout and /dev/stderr lead to them, and whoever opens these needs the right to.
    func hand(over outputs: [Descriptor]) {
        guard let user = options.user else { return }
        for output in outputs { output.give(to: user) }
    }

    /// A child has been started.
    func started(_ process: ChildProcess) {
        if let oomScore { process.setOOMScoreAdjustment(oomScore) }
    }

    /// A child is gone: kills what it has started and removes what it was given.
    ///
    /// - Returns: whether the kernel has killed in its cgroup because memory was short, or over its limit.
    func leave(_ enclosure: Enclosure) -> Bool {
        // What it has started is gone before the folder goes, to which it may be writing.
        defer { if let folder = enclosure.folder { sweeper.remove(folder) } }
        guard let group = enclosure.group else { return false }
        let isShort = enclosure.countsMemory && (group.number("oom_kill", in: "memory.events") ?? 0) > 0
        groups?.close(group)
        return isShort
    }

    /// Tries again what could not be removed; when to call again.
    func sweep(now: MonotonicTime) -> MonotonicTime? { groups?.sweep() == true ? now.advanced(by: Sandbox.sweepPause) : nil }

    /// All children are gone and the loop has ended.
    func close() {
        if let folder { sweeper.finish(removing: folder.path, within: Sandbox.patience) }
        folder = nil
        let deadline = MonotonicTime.now.advanced(by: Sandbox.patience)
        while groups?.sweep() == true, MonotonicTime.now < deadline { usleep(5000) }
    }
}
