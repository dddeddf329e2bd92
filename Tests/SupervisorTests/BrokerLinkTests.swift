import CoppiceEventLoop
import CoppiceShared
import CoppiceTransport
import Logging
import Testing

@testable import CoppiceSupervisor

@Suite struct BrokerLinkTests {
    /// A link, its sessions in the order of their making, and what it reported.
    private final class Scene {
        let loop: EventLoop
        let link: BrokerLink
        var heard: [String] = []
        private let made = Made()

        private final class Made {
            var sessions: [FakeBroker] = []
            var onMade: () -> Void = {}
        }

        init() throws {
            loop = try EventLoop()
            let log = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
            link = try BrokerLink(.sqlite(path: "/nowhere"), loop: loop, log: log) { [made] _ in
                let session = FakeBroker()
                session.events = [.standing]
                made.sessions.append(session)
                made.onMade()
                return session
            }
            link.onEvent = { [unowned self] event in hear(event) }
            link.open()
        }

        var sessions: [FakeBroker] { made.sessions }

        /// What is done when a control request is heard.
        var onControl: () -> Void = {}

        private func hear(_ event: BrokerEvent) {
            switch event {
            case .control(let body):
                heard.append(String(decoding: body, as: UTF8.self))
                onControl()
            case .lost(let reason): heard.append("lost: \(reason)")
            default: break
            }
        }

        /// Turns the loop until the next session is made; false if the time is over first.
        func waitForSession(seconds: Double) throws -> Bool {
            let timer = try loop.timer(priority: 0) { [unowned self] in loop.exit(1) }
            timer.set(.now.advanced(by: seconds))
            made.onMade = { [unowned self] in loop.exit(0) }
            return try loop.run() == 0
        }
    }

    /// The answer to a control request is flushed at once, and the flush may bring the session's end.
    @Test func whatAFlushBringsIsHeardAfterWhatCameBefore() throws {
        let scene = try Scene()
        let session = try #require(scene.sessions.first)
        scene.onControl = { scene.link.flush() }
        session.onFlush = { if session.flushes == 2 { session.events = [.lost("gone")] } }
        session.events = [.control(Array("a".utf8)), .control(Array("b".utf8))]
        scene.link.flush()
        #expect(scene.heard == ["a", "b", "lost: gone"] && session.flushes == 2)
        #expect(scene.link.standing == nil && !scene.link.isOver)
    }

    /// Whatever word a session ends with: only who asked for the end is done with it.
    @Test func anEndThatNobodyAskedForIsFollowedByANewSession() throws {
        let scene = try Scene()
        let first = try #require(scene.sessions.first)
        first.events = [.lost("closed")]
        scene.link.flush()
        #expect(!scene.link.isOver && !scene.link.isStanding)
        try #require(try scene.waitForSession(seconds: 5))
        #expect(scene.link.isStanding)
        let second = try #require(scene.sessions.last)
        scene.link.close()
        #expect(second.isClosed && scene.link.standing == nil, "no orders are given any more")
        second.events = [.lost("the server went away just then")]
        scene.link.flush()
        #expect(scene.link.isOver && !scene.link.isStanding)
    }
}
