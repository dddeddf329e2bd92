import CoppiceSystem
import Glibc

/// The children's cgroups, below the one that the master was started in:
///
///     its own               delegated to it
///       supervisor          the master: a group that has processes can't limit those below it
///       slot-3.812.9042.17  one a child: its slot, the master's process id and start time, a serial number
final class ChildGroups {
    private static let prefix = "slot-"

    let base: ControlGroup
    /// What can be limited.
    let controllers: Set<String>
    /// What each new group's files are set to.
    var limits: [(file: String, value: String)] = []
    private let owner = Owner(pid: getpid(), started: ProcessStatus.startTime(of: getpid()) ?? 0)
    private var serial = 0
    /// Groups that could not be removed yet, since what was killed in them has not ended.
    private var closing: [ControlGroup] = []

    /// Moves this process into a leaf of `base` and switches on what is there of `wanted`.
    init(base: ControlGroup, wanted: Set<String>) throws(SystemError) {
        let leaf = base.child("supervisor")
        try leaf.make()
        guard leaf.canKill else { throw SystemError("find cgroup.kill in \(leaf.path)", code: ENOENT) }
        try leaf.write("0", to: "cgroup.procs")
        var found: Set<String> = []
        // One by one: where others are in `base` beside us the kernel refuses some of them.
        for name in wanted.intersection(base.controllers) where (try? base.write("+\(name)", to: "cgroup.subtree_control")) != nil {
            found.insert(name)
        }
        self.base = base
        controllers = found
        removeLeft()
    }

    /// A new group for a child.
    func make(slot: Int) throws(SystemError) -> ControlGroup {
        serial += 1
        let group = base.child("\(ChildGroups.prefix)\(slot).\(owner.pid).\(owner.started).\(serial)")
        try group.make()
        do {
            for limit in limits { try group.write(limit.value, to: limit.file) }
        } catch {
            _ = group.remove()
            throw error
        }
        return group
    }

    /// Its child is gone: whatever it has started goes, too.
    func close(_ group: ControlGroup) {
        group.kill()
        if !group.remove() { closing.append(group) }
    }

    /// Tries again to remove what is left; whether anything still is.
    func sweep() -> Bool {
        closing.removeAll { $0.remove() }
        return !closing.isEmpty
    }

    /// A master that was killed leaves its children's groups, and in them what has outlived the children.
    private func removeLeft() {
        for name in base.names where Owner(ofGroup: name)?.isGone == true { close(base.child(name)) }
    }

    /// The master that has made a group, as the group's name tells.
    struct Owner: Equatable {
        var pid: Int32
        /// Its number may be another process's by now, or in a container another's from the first.
        var started: Int

        init(pid: Int32, started: Int) {
            self.pid = pid
            self.started = started
        }

        /// nil: it is no child's group.
        init?(ofGroup name: String) {
            let parts = name.split(separator: ".", omittingEmptySubsequences: false)
            guard name.hasPrefix(ChildGroups.prefix), parts.count == 4, let pid = Int32(parts[1]), pid > 0, let started = Int(parts[2])
            else { return nil }
            self.init(pid: pid, started: started)
        }

        /// Where /proc hides a process that is there (hidepid, systemd's `ProtectProc=`), it may be the one.
        var isGone: Bool {
            if Glibc.kill(pid, 0) != 0, errno == ESRCH { return true }
            return ProcessStatus.startTime(of: pid).map { $0 != started } ?? false
        }
    }
}
