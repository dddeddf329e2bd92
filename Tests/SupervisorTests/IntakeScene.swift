import CoppiceEventLoop
import CoppiceResults
import CoppiceShared
import CoppiceSystem
import CoppiceTransport
import Logging

@testable import CoppiceSupervisor

/// An intake over a pool of one child whose loop does not turn: what the child says and what the broker answers is the test's doing. The
/// process behind it ends by itself and is reaped by `close`.
final class IntakeScene {
    let intake: Intake
    let pool: Pool
    let broker = FakeBroker()
    private let loop: EventLoop
    private var lastTag = 0

    init(concurrency: Int = 1, prefetchMultiplier: Int = 4) throws {
        let options = SupervisorOptions(
            node: "celery@test", prefetchMultiplier: prefetchMultiplier, queues: ["celery"], broker: .sqlite(path: "/nowhere"),
            results: .sqlite(path: "/nowhere"), timeZone: nil, log: LogOptions(level: .critical), version: "0")
        let live = LiveOptions(workerPath: "/bin/true", concurrency: concurrency, maximumRetries: 3)
        var log = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
        log.logLevel = .critical
        CurrentProcess.ignoreBrokenPipes()
        loop = try EventLoop()
        pool = try Pool(options: options, live: live, loop: loop, log: log, childLimits: DescriptorLimit.raise())
        intake = try Intake(options: options, live: live, pool: pool, loop: loop, log: log)
        try pool.spawnFirst()
    }

    var slot: Slot { pool.slots[0] }

    /// The child says which tasks it has.
    func childIsReady(_ tasks: TaskDeclaration...) {
        guard let child = slot.child else { return }
        _ = child.lifecycle.ready()
        for task in tasks { child.tasks[task.name] = task }
    }

    func take(_ ids: String..., of task: String = "t", size: Int = 1) {
        intake.taken(
            ids.map { id in
                lastTag += 1
                let message = TaskMessage(
                    id: id, name: task, headers: Array("{}".utf8), contentType: "application/json", routingKey: "celery", body: [],
                    bodyIsBase64: false)
                return ReceivedMessage(
                    tag: DeliveryTag("tag-\(lastTag)"), queue: "celery", size: size, content: .success(message), envelope: nil)
            })
    }

    /// As the supervisor does, once a turn.
    func handOut() {
        pool.turnEnds(now: .now)
        intake.handOut()
    }

    /// The child starts what it was given last.
    func start() {
        guard let child = slot.child, let assignment = intake.byAssignment.keys.max() else { return }
        _ = child.lifecycle.started(assignment)
        intake.started(assignment, on: child)
    }

    func end(_ outcome: Outcome = .success([0x31])) {
        guard let child = slot.child, let assignment = intake.byAssignment.keys.max() else { return }
        _ = child.lifecycle.done(assignment)
        intake.done(assignment, outcome)
    }

    /// Sends what is in the outbox.
    func flush() { intake.outbox.flush(broker: broker, store: nil, joined: true) }

    /// The broker answers the oldest batch.
    func answer(_ verdict: CommitVerdict = .done) {
        guard let batch = broker.answer() else { return }
        intake.committed(batch.number, batch.commits.map { _ in verdict })
    }

    /// Reaps the child.
    func close(_ hear: @escaping (Death) -> Void = { _ in }) throws {
        pool.isSpawning = false
        guard !pool.isEmpty else { return }
        pool.onEnd = { [loop, unowned pool] _, death in
            hear(death)
            if pool.isEmpty { loop.exit(0) }
        }
        pool.killAll()
        _ = try loop.run()
    }
}
