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
        #expect(child.reap() == .exit(0))
    }

    @Test func aDiscardedProcessIsReaped() throws {
        let null = try Descriptor.open("/dev/null", flags: 2)
        let child = try ChildProcess.spawn(
            path: "/bin/sleep", arguments: ["sleep", "60"], environment: [], descriptors: .init([null, null, null]))
        child.discard()
        #expect(Glibc.kill(child.pid, 0) != 0)
    }
}
