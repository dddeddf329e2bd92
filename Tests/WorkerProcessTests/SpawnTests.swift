import CoppiceShared
import CoppiceSystem
import Glibc
import Testing

/// A new process gets the descriptors that it is meant to get, whatever numbers they have here.
@Suite(.serialized, .timeLimit(.minutes(1))) struct SpawnTests {
    @Test func highDescriptorsReachTheirPlaces() throws {
        var filler: [Descriptor] = []
        repeat { filler.append(try Descriptor.open("/dev/null", flags: 0)) } while (filler.last?.raw ?? 0) < 511
        let pipes = try (0..<5).map { _ in try Descriptor.pipe() }
        filler.removeAll()
        // The highest first, so that the last ones stand where the first might be put out of the way.
        let child = try ChildProcess.spawn(
            path: "/bin/sh", arguments: ["sh", "-c", "for n in 0 1 2 3 4; do echo $n >&$n; done"], environment: [],
            descriptors: .init(pipes.reversed().map(\.write)))
        for pipe in pipes { pipe.write.close() }
        for (place, pipe) in pipes.reversed().enumerated() {
            #expect(try pipe.read.read(upTo: 100) == .bytes(Array("\(place)\n".utf8)))
        }
        _ = try Poll.wait([PollInterest(descriptor: child.pidfd.raw, events: .read)], until: .now.advanced(by: 10))
        #expect(child.reap()?.end == .exit(0))
    }

    @Test func whoWantsToRunIsToldFromWhoDoesNot() throws {
        let null = try Descriptor.open("/dev/null", flags: 2)
        func spawn(_ command: String) throws -> ChildProcess {
            try ChildProcess.spawn(
                path: "/bin/sh", arguments: ["sh", "-c", command], environment: ["PATH=/usr/bin:/bin"],
                descriptors: .init([null, null, null]))
        }
        func settles(_ pid: Int32, _ wants: Bool) -> Bool {
            let deadline = MonotonicTime.now.advanced(by: 20)
            while ProcessStatus.wantsProcessor(pid) != wants { if MonotonicTime.now > deadline { return false } }
            return true
        }
        let busy = try spawn("while :; do :; done")
        let idle = try spawn("exec sleep 60")
        defer {
            busy.discard()
            idle.discard()
        }
        #expect(settles(idle.pid, false))
        #expect(settles(busy.pid, true))
        busy.signal(SIGSTOP)
        #expect(settles(busy.pid, false))
        #expect(!ProcessStatus.wantsProcessor(-1))
    }

    @Test func whatAProcessHasUsedIsToldWithItsEnd() throws {
        let null = try Descriptor.open("/dev/null", flags: 2)
        let child = try ChildProcess.spawn(
            path: "/bin/sh", arguments: ["sh", "-c", "n=0; while [ $n -lt 300000 ]; do n=$((n+1)); done; kill -ABRT $$"], environment: [],
            descriptors: .init([null, null, null]))
        #expect(child.reap() == nil)
        #expect(try #require(ProcessStatus.peakMemory(of: child.pid)) > 0)
        #expect(["R", "S", "D"].contains(ProcessStatus.state(of: child.pid)))
        _ = try Poll.wait([PollInterest(descriptor: child.pidfd.raw, events: .read)], until: .now.advanced(by: 20))
        // It is dead and not reaped: it has a state, and no memory.
        #expect(ProcessStatus.state(of: child.pid) == "Z" && ProcessStatus.peakMemory(of: child.pid) == nil)
        let (end, usage) = try #require(child.reap())
        #expect(end == .signal(SIGABRT))
        #expect((0.01..<20).contains(usage.cpu))
        // The kernel's figure begins with that of the parent.
        let own = try #require(ProcessStatus.peakMemory(of: CurrentProcess.id))
        #expect((1 << 16...own).contains(usage.peak))
        #expect(ProcessStatus.state(of: child.pid) == nil)
    }

    @Test func aDiscardedProcessIsReaped() throws {
        let null = try Descriptor.open("/dev/null", flags: 2)
        let child = try ChildProcess.spawn(
            path: "/bin/sleep", arguments: ["sleep", "60"], environment: [], descriptors: .init([null, null, null]))
        child.discard()
        #expect(Glibc.kill(child.pid, 0) != 0)
    }
}
