import CoppiceRedis
import CoppiceShared
import CoppiceSystem
import CoppiceTransport
import Testing

/// Lists as kombu's `sep`, `priority_steps` and `queue_order_strategy` lay them out.
@Suite(.ownThread) struct RedisLayoutTests {
    private let fixture: RedisFixture
    private let scene: BrokerScene

    init() throws {
        fixture = try RedisFixture(layout: RedisFixture.layout(separator: ":", steps: [0, 1, 2, 3, 4], order: .priority))
        scene = BrokerScene(fixture)
    }

    private func session(
        _ queues: [QueueDeclaration], incarnation: Incarnation = Incarnation(), _ edit: (inout RedisQueueLayout) -> Void = { _ in }
    ) throws -> SessionSeat {
        var url = fixture.url
        edit(&url.layout)
        let session = RedisBrokerSession(
            url, results: url, resultExpiry: 60, queues: queues, node: "celery@test", incarnation: incarnation, holding: [])
        return try SessionSeat(scene.stage, session, incarnation: incarnation).stand()
    }

    private func lengths(_ queue: String) throws -> [Int] {
        try ["", ":1", ":2", ":3", ":4"].map { try fixture.ask(RedisCommand("LLEN", queue + $0)).integer ?? -1 }
    }

    private func operations() throws -> (RedisQueueOperations, Seat<QueueEvent>) {
        let operations = RedisQueueOperations(fixture.url)
        let seat = scene.stage.add(operations) { operations.takeEvents() }
        try seat.next("standing") { if case .standing = $0 { true } else { nil } }
        return (operations, seat)
    }

    @Test func messagesLieAndAreTakenByStep() throws {
        for priority in [4, 9, 2, 0, 1] { try scene.send(["p\(priority)"], priority: priority) }
        #expect(try lengths("celery") == [1, 1, 1, 0, 2])
        #expect(try fixture.ask(RedisCommand("SMEMBERS", "_kombu.binding.celery")) == .array([.bulk(Array("celery::celery".utf8))]))
        let session = try session(["celery"])
        let taken = try session.takeAll(5)
        #expect(taken.map(\.id) == ["p0", "p1", "p2", "p4", "p9"])
        // To its own list in front, to the end of it, and to wait for its time.
        #expect(try session.commit(taken[1], .putBack(front: true)))
        #expect(try session.commit(taken[4], .putBack(front: false)))
        #expect(try lengths("celery") == [0, 1, 0, 0, 1])
        #expect(try session.commit(taken[2], .park(until: .now)))
        #expect(try Set(session.takeAll(3).map(\.id)) == ["p1", "p2", "p9"])
    }

    /// The list of step 3 is the queue `celery:3`, which somebody serves beside it.
    @Test func aListThatTwoQueuesShareIsTakenOnce() throws {
        try scene.send(["1", "2"], priority: 3)
        let session = try session(["celery", "celery:3"])
        #expect(try session.take(4).map(\.id) == ["1", "2"])
        #expect(try fixture.ask(RedisCommand("HLEN", "unacked")).integer == 2)
    }

    @Test func whatWasLostWithAConnectionGoesBackToItsStep() throws {
        try scene.send(["1"], priority: 3)
        let first = try session(["celery"])
        _ = try first.takeAll(1)
        scene.stage.leave(first.seat)
        _ = try session(["celery"], incarnation: first.incarnation)
        #expect(try lengths("celery") == [0, 0, 0, 1, 0])
    }

    /// A node with other steps left them.
    @Test func whatLiesUnderAnotherStepComesToOneThatIsServed() throws {
        try scene.send(["held", "parked"], priority: 4)
        let first = try session(["celery"])
        let taken = try first.takeAll(2)
        #expect(try first.commit(taken[1], .park(until: .now)))
        scene.stage.leave(first.seat)
        let second = try session(["celery"], incarnation: first.incarnation) { $0.steps = [0, 3] }
        #expect(try lengths("celery") == [0, 0, 0, 1, 0])
        let again = try second.takeAll(2)
        #expect(again.map(\.id) == ["parked", "held"])
        #expect(try again.map { try second.commit($0, .conclude) } == [true, true], "under the tags that we know")
    }

    @Test(arguments: [
        (RedisQueueLayout.Order.priority, ["b1", "b2", "a1", "a2"]), (.sorted, ["a1", "a2", "b1", "b2"]),
        (.roundRobin, ["b1", "a1", "b2", "a2"]),
    ])
    func queuesComeInTheirOrder(_ order: RedisQueueLayout.Order, _ expected: [String]) throws {
        for queue in ["a", "b"] { try scene.send(["\(queue)1", "\(queue)2"], queue: queue) }
        let session = try session(["b", "a"]) { $0.order = order }
        #expect(try session.take(4).map(\.id) == expected)
        // Whoever takes one at a time sees the order as well, but in turns.
        for queue in ["a", "b"] { try scene.send(["\(queue)3", "\(queue)4"], queue: queue) }
        // All bells have rung.
        try scene.stage.pass(seconds: 0.2)
        let singly = try (0..<4).flatMap { _ in try session.take(1).map(\.queue) }
        #expect(singly == [.priority: ["b", "b", "a", "a"], .sorted: ["a", "a", "b", "b"], .roundRobin: ["a", "b", "a", "b"]][order])
    }

    @Test func anOperatorSeesThemAll() throws {
        for priority in 0...4 { try scene.send(["p\(priority)"], priority: priority) }
        let (operations, seat) = try operations()
        operations.survey(nil)
        let states = try seat.next("queues") { if case .queues(let states) = $0 { states } else { nil } }
        #expect(states.map(\.name) == ["celery"])
        #expect(states.map(\.waiting) == [5])
        operations.move(from: "celery", to: "other", upTo: 4)
        #expect(try seat.next("moved") { if case .moved(let count) = $0 { count } else { nil } } == 4)
        #expect(try lengths("other") == [1, 1, 1, 1, 0])
        operations.purge("other")
        #expect(try seat.next("purged") { if case .purged(let waiting, _) = $0 { waiting } else { nil } } == 4)
        let session = try session(["celery"])
        let message = try #require(try session.takeAll(1).first)
        #expect(try session.commit(message, .setAside(reason: "test", deaths: [])))
        operations.deadLetters(upTo: 1)
        let letters = try seat.next("dead letters") { if case .deadLetters(let letters) = $0 { letters } else { nil } }
        operations.retryDeadLetter(try #require(letters.first).id, to: nil)
        _ = try seat.next("the retry") { if case .deadLetterLeft(let fate) = $0 { fate } else { nil } }
        #expect(try lengths("celery") == [0, 0, 0, 0, 1])
    }
}
