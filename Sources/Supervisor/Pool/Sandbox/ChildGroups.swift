import CoppiceSystem
import Glibc

/// The children's cgroups, below the one that the master was started in:
///
///     its own             delegated to it
///       supervisor        the master: a group that has processes can't limit those below it
///       slot-3.812.17     one a child: its slot, the master's process id, a serial number
final class ChildGroups {
    let base: ControlGroup
    /// What can be limited.
    let controllers: Set<String>
    /// What each new group's files are set to.
    var limits: [(file: String, value: String)] = []
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
        let group = base.child("slot-\(slot).\(getpid()).\(serial)")
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
        for name in base.names where name.hasPrefix("slot-") {
            let parts = name.split(separator: ".")
            guard parts.count == 3, let owner = Int32(parts[1]), owner > 0 else { continue }
            let isAlive = owner != getpid() && (Glibc.kill(owner, 0) == 0 || errno == EPERM)
            if !isAlive { close(base.child(name)) }
        }
    }
}
