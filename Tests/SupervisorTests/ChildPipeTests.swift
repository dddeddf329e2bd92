import CoppiceShared
import CoppiceSystem
import Testing

@testable import CoppiceSupervisor

/// What goes wrong with the pipes of a child that lives.
@Suite struct ChildPipeTests {
    /// A working child whose ends of the pipes the test holds; the process behind it is `/bin/true`.
    private func withChild(
        _ body: (IntakeScene, Child, _ down: Descriptor, _ up: Descriptor) throws -> Void, readingFromTheWrongEnd: Bool = false
    ) throws {
        let scene = try IntakeScene()
        let pool = scene.pool
        let (down, up) = (try Descriptor.pipe(), try Descriptor.pipe())
        for end in [down.write, up.read] { try end.setNonBlocking() }
        let real = try pool.launcher.launch(slot: 2)
        let launched = ChildLauncher.Launched(
            generation: 1, enclosure: real.enclosure, process: real.process,
            channel: ChildChannel(down: down.write, up: readingFromTheWrongEnd ? up.write : up.read), outputs: [])
        let slot = Slot(number: 2)
        let child = Child(launched, by: pool.launcher, number: 2, in: slot, now: .now)
        slot.child = child
        pool.slots.append(slot)
        _ = child.lifecycle.ready()
        // One that wants to run is given time.
        while ProcessStatus.wantsProcessor(real.process.pid) {}
        try body(scene, child, down.read, up.write)
        // It is watched by nobody.
        pool.slots.removeLast()
        child.writeSource = nil
        real.process.discard()
        try scene.close()
    }

    private func reason(_ child: Child) -> String? {
        if case .killed(.protocolError(let complaint), _) = child.lifecycle.state { complaint } else { nil }
    }

    @Test func aFrameThatHasBegunMustGoOn() throws {
        try withChild { scene, child, _, up in
            let frame = UpFrame.heartbeat(assignment: 0).encoded
            try up.write(all: Array(frame.prefix(7)))
            scene.pool.receive(child)
            #expect(child.inFrameSince != nil)
            try up.write(all: Array(frame.dropFirst(7)))
            scene.pool.receive(child)
            #expect(child.inFrameSince == nil)
            try up.write(all: Array(frame.prefix(7)))
            scene.pool.receive(child)
            let since = try #require(child.inFrameSince)
            scene.pool.deadlinesReached(now: since.advanced(by: 1))
            #expect(reason(child) == nil)
            scene.pool.lastTurn = since.advanced(by: 10)
            scene.pool.deadlinesReached(now: since.advanced(by: 10))
            #expect(reason(child) == "nothing has followed the beginning of a frame within 10 s")
        }
    }

    @Test func aPipeThatCanNotBeReadIsNoEnd() throws {
        try withChild(
            { scene, child, _, _ in
                scene.pool.receive(child)
                #expect(child.hangUpDeadline == nil && reason(child) == "its pipe can't be read: read: Bad file descriptor")
            }, readingFromTheWrongEnd: true)
    }

    /// As where there are no more watches (`fs.epoll.max_user_watches`).
    @Test func whatCanNotBeWatchedIsWrittenLater() throws {
        try withChild { scene, child, down, _ in
            let pool = scene.pool
            // The kernel refuses a second watch of a descriptor.
            var first: AnyObject? = try pool.loop.watch(child.channel.downDescriptor, for: .read, priority: 0) { _ in }
            child.channel.send(.run(RunFrame(assignment: 1, id: "i", name: "t", headers: [], body: [UInt8](repeating: 1, count: 1 << 18))))
            pool.unflushed.append(child)
            pool.flush()
            #expect(child.channel.hasBacklog && child.writeSource == nil && first != nil)
            first = nil
            pool.deadlinesReached(now: .now)
            #expect(child.writeSource != nil && pool.unflushed.isEmpty)
            withExtendedLifetime(down) {}
        }
    }
}
