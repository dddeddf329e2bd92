import CoppiceEventLoop
import CoppiceShared
import CoppiceSystem
import Testing

@testable import CoppiceSupervisor

@Suite struct PollableSourcesTests {
    /// Waits for one descriptor, and for no time.
    private final class Reader: Pollable {
        let interests: [PollInterest]
        var deadline: MonotonicTime? { nil }
        private(set) var isReady = false
        private(set) var isExpired = false

        init(_ descriptor: Int32) { interests = [PollInterest(descriptor: descriptor, events: .read)] }

        func ready(_ descriptor: Int32, _ events: PollEvents, now: MonotonicTime) { isReady = true }
        func expired(now: MonotonicTime) { isExpired = true }
    }

    /// As where there are no more watches (`fs.epoll.max_user_watches`).
    @Test func whatCanNotBeWatchedIsTriedAgain() throws {
        let loop = try EventLoop()
        let pipe = try Descriptor.pipe()
        let reader = Reader(pipe.read.raw)
        // The kernel refuses a second watch of a descriptor.
        var first: AnyObject? = try loop.watch(pipe.read.raw, for: .write, priority: 0) { _ in }
        let box = Box()
        let sources = try PollableSources(reader, loop: loop, priority: 0) {
            box.sources?.sync()
            if reader.isReady { loop.exit(0) }
        }
        box.sources = sources
        #expect(first != nil)
        first = nil
        try pipe.write.write(all: [1])
        let guardian = try loop.timer(priority: 0) { loop.exit(1) }
        guardian.set(MonotonicTime.now.advanced(by: 5))
        #expect(try loop.run() == 0 && !reader.isExpired)
        box.sources = nil
    }

    private final class Box { var sources: PollableSources? }
}
