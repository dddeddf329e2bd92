import CoppiceEventLoop
import CoppiceShared
import CoppiceSystem
import Testing

/// Each test's loop runs on the thread that made it, and ends when the test's handler says so.
@Suite(.timeLimit(.minutes(1))) struct IOGroupTests {
    private func pipes(_ count: Int) throws -> [(read: Descriptor, write: Descriptor)] {
        try (0..<count).map { _ in
            let pipe = try Descriptor.pipe()
            try pipe.read.setNonBlocking()
            return pipe
        }
    }

    @Test func allThatAreReadyAreServedInOneTurn() throws {
        let loop = try EventLoop()
        let group = try loop.group(priority: 0)
        let pipes = try pipes(200)
        var served: [Int] = []
        var members: [IOMember] = []
        for (number, pipe) in pipes.enumerated() {
            members.append(
                try group.watch(pipe.read.raw) {
                    served.append(number)
                    _ = try? pipe.read.read(upTo: 16)
                })
        }
        var turns: [Int] = []
        let post = try loop.afterEachTurn(priority: 100) {
            turns.append(served.count)
            loop.exit(0)
        }
        for pipe in pipes where pipe.read.raw % 2 == 0 { try Descriptor.write(all: [1], to: pipe.write.raw) }
        let expected = pipes.indices.filter { pipes[$0].read.raw % 2 == 0 }
        #expect(try loop.run() == 0)
        #expect(served.sorted() == expected && turns == [expected.count])
        withExtendedLifetime((members, post)) {}
    }

    @Test func aMemberThatAnotherOnesHandlerDropsIsNotServedAnyMore() throws {
        let loop = try EventLoop()
        let group = try loop.group(priority: 0)
        let pipes = try pipes(2)
        var members: [IOMember?] = [nil, nil]
        var served = 0
        for number in 0..<2 {
            members[number] = try group.watch(pipes[number].read.raw) {
                served += 1
                // Whichever comes first drops the other, and is itself not read empty.
                members[1 - number] = nil
            }
            try Descriptor.write(all: [1], to: pipes[number].write.raw)
        }
        // Before the group, which is always ready.
        let post = try loop.afterEachTurn(priority: -1) { if served == 3 { loop.exit(0) } }
        #expect(try loop.run() == 0)
        #expect(served == 3 && members.compactMap(\.self).count == 1)
        withExtendedLifetime(post) {}
    }

    @Test func aDescriptorMayBeWatchedAgain() throws {
        let loop = try EventLoop()
        let group = try loop.group(priority: 0)
        let pipe = try pipes(1)[0]
        var served: [String] = []
        var member: IOMember? = try group.watch(pipe.read.raw) { served.append("first") }
        member = nil
        member = try group.watch(pipe.read.raw) {
            served.append("second")
            loop.exit(0)
        }
        try Descriptor.write(all: [1], to: pipe.write.raw)
        #expect(try loop.run() == 0)
        #expect(served == ["second"])
        withExtendedLifetime(member) {}
    }

    @Test func aHangUpIsServedToo() throws {
        let loop = try EventLoop()
        let group = try loop.group(priority: 0)
        let pipe = try pipes(1)[0]
        let member = try group.watch(pipe.read.raw) { loop.exit((try? pipe.read.read(upTo: 1)) == .end ? 7 : 8) }
        pipe.write.close()
        #expect(try loop.run() == 7)
        withExtendedLifetime(member) {}
    }

    @Test func theGroupMovesInTheOrderOfServiceAsAWhole() throws {
        let loop = try EventLoop()
        let group = try loop.group(priority: -10)
        let pipes = try pipes(2)
        var order: [String] = []
        let member = try group.watch(pipes[0].read.raw) {
            order.append("group")
            group.set(priority: 10)
            if order.count == 3 { loop.exit(0) }
        }
        let other = try loop.watch(pipes[1].read.raw, for: .read, priority: 0) { _ in
            order.append("other")
            _ = try? pipes[1].read.read(upTo: 16)
        }
        for pipe in pipes { try Descriptor.write(all: [1], to: pipe.write.raw) }
        #expect(try loop.run() == 0)
        #expect(order == ["group", "other", "group"])
        withExtendedLifetime((member, other)) {}
    }

    @Test func whatCanNotBeWatchedIsAnError() throws {
        let loop = try EventLoop()
        let group = try loop.group(priority: 0)
        let pipe = try pipes(1)[0]
        let member = try group.watch(pipe.read.raw) {}
        #expect(throws: SystemError.self) { _ = try group.watch(pipe.read.raw) {} }
        #expect(throws: SystemError.self) { _ = try group.watch(-1) {} }
        withExtendedLifetime(member) {}
    }
}
