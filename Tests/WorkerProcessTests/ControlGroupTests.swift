import CoppiceShared
import Glibc
import Testing

@testable import CoppiceSystem

@Suite(.serialized, .timeLimit(.minutes(1))) struct ControlGroupTests {
    @Test(arguments: [
        // systemd's unified hierarchy
        ("0::/system.slice/a.service\n", "30 23 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n", "/sys/fs/cgroup/system.slice/a.service"),
        // both versions side by side
        (
            "4:memory:/x\n0::/y\n",
            "32 31 0:29 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n41 31 0:38 / /m/unified rw shared:9 - cgroup2 c rw\n",
            "/m/unified/y"
        ),
        // the root, and a mount that shows a part
        ("0::/\n", "41 31 0:38 / /m rw - cgroup2 cgroup2 rw\n", "/m"),
        ("0::/a/b/c\n", "41 31 0:38 /a/b /m rw - cgroup2 cgroup2 rw\n", "/m/c"),
        ("0::/a/b\n", "41 31 0:38 /a/b /m rw - cgroup2 cgroup2 rw\n", "/m"),
        ("0::/a/bc\n", "41 31 0:38 /a/b /m rw - cgroup2 cgroup2 rw\n", nil),
        ("0::/a\n", "41 31 0:38 / /with\\040space rw - cgroup2 cgroup2 rw\n", "/with space/a"),
        // no version 2, and nonsense
        ("4:memory:/x\n", "41 31 0:38 / /m rw - cgroup2 cgroup2 rw\n", nil),
        ("0::/y\n", "32 31 0:29 / /m rw - cgroup cgroup rw\n", nil),
        ("0::/y\n", "- cgroup2\n\n41 31 - cgroup2 x\n1 2 3 4 5 6 -\n", nil),
        ("", "", nil),
    ])
    func itStandsWhereTheKernelSays(membership: String, mounts: String, path: String?) {
        #expect(ControlGroup.path(membership: membership, mounts: mounts) == path)
    }

    /// A group of our own, where the machine lets us make one.
    static func make() -> ControlGroup? {
        guard let own = ControlGroup.own else { return nil }
        let group = own.child("coppice-unit-\(getpid())")
        guard (try? group.make()) != nil else { return nil }
        if group.canKill { return group }
        _ = group.remove()
        return nil
    }

    static var isPossible: Bool { make()?.remove() ?? false }

    private func end(of child: ChildProcess) throws -> ProcessEnd? {
        _ = try Poll.wait([PollInterest(descriptor: child.pidfd.raw, events: .read)], until: .now.advanced(by: 10))
        return child.reap()?.end
    }

    @Test(.enabled(if: isPossible)) func aProcessIsBornInIt() throws {
        let group = try #require(ControlGroupTests.make())
        defer { _ = group.remove() }
        let null = try Descriptor.open("/dev/null", flags: O_RDWR)
        let output = try Descriptor.pipe()
        let more = try Descriptor.pipe()
        // What is ignored or blocked here must not be there.
        signal(SIGUSR1, SIG_IGN)
        defer { signal(SIGUSR1, SIG_DFL) }
        let script = "cat /proc/self/cgroup; grep -E 'Sig(Blk|Ign)' /proc/self/status; ls /proc/$$/fd | tr '\\n' ' '; echo $0 $X >&3"
        let child = try ChildProcess.spawn(
            path: "/bin/sh", arguments: ["/bin/sh", "-c", script, "zero"], environment: ["X=y", "PATH=/bin:/usr/bin"],
            descriptors: .init([null, output.write, null, more.write]), cgroup: group)
        #expect(getpgid(child.pid) == child.pid)
        #expect(try end(of: child) == .exit(0))
        guard case .bytes(let bytes) = try output.read.read(upTo: 4096) else {
            Issue.record("it has said nothing")
            return
        }
        let lines = String(decoding: bytes, as: UTF8.self).split(separator: "\n").map(String.init)
        #expect(lines.contains { $0.hasPrefix("0::") && $0.hasSuffix("/coppice-unit-\(getpid())") })
        #expect(lines.filter { $0.hasPrefix("Sig") } == ["SigBlk:\t0000000000000000", "SigIgn:\t0000000000000000"])
        #expect(lines.last?.hasPrefix("0 1 2 3") == true)
        #expect(try more.read.read(upTo: 100) == .bytes(Array("zero y\n".utf8)))
    }

    @Test(.enabled(if: isPossible)) func aProgramThatIsNotThereIsSaidAndLeavesNothing() throws {
        let group = try #require(ControlGroupTests.make())
        let null = try Descriptor.open("/dev/null", flags: O_RDWR)
        #expect(throws: SystemError("start /nowhere", code: ENOENT)) {
            try ChildProcess.spawn(
                path: "/nowhere", arguments: ["x"], environment: [], descriptors: .init([null, null, null]), cgroup: group)
        }
        #expect(group.remove())
    }

    @Test(.enabled(if: isPossible)) func itsKillReachesWhoHasLeftTheProcessGroup() throws {
        let group = try #require(ControlGroupTests.make())
        let null = try Descriptor.open("/dev/null", flags: O_RDWR)
        let alive = try Descriptor.pipe()
        let child = try ChildProcess.spawn(
            path: "/bin/sh", arguments: ["/bin/sh", "-c", "setsid sleep 100 & exit 0"], environment: ["PATH=/bin:/usr/bin"],
            descriptors: .init([null, null, null, alive.write]), cgroup: group)
        alive.write.close()
        #expect(try end(of: child) == .exit(0))
        #expect(!group.remove())
        group.kill()
        // The pipe ends with its last writer.
        #expect(try alive.read.read(upTo: 1) == .end)
        let deadline = MonotonicTime.now.advanced(by: 10)
        while !group.remove(), MonotonicTime.now < deadline { usleep(1000) }
        #expect(!group.has("cgroup.procs"))
    }

    @Test func aGroupThatIsNotThereHasNothing() {
        let group = ControlGroup(path: "/nowhere")
        #expect(group.read("memory.events") == nil)
        #expect(group.number("oom_kill", in: "memory.events") == nil)
        #expect(group.names.isEmpty && group.controllers.isEmpty && !group.isDelegated && !group.canKill)
        #expect(group.remove())
        #expect(throws: SystemError.self) { try group.write("0", to: "cgroup.procs") }
    }
}
