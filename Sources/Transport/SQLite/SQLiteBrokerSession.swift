import CoppiceSQLite
import CoppiceShared
import CoppiceSystem

/// A master's session with the embedded broker: Coppice's file, shared by any number of processes of one machine.
///
/// Every order becomes a transaction on the session's line; the answer is reported once it has been committed. A node's row with a
/// counter is its lease; what dead nodes held is recovered with the same transaction that counts up our own.
public final class SQLiteBrokerSession: BrokerSession {
    public let joinsResults: Bool
    private let line: TransactionLine
    private let queues: [String]
    private let node: String
    private let incarnation: Incarnation
    private let deadLetters: DeadLetterLimits
    private let resultExpiry: Int

    private var events: [BrokerEvent] = []
    private var phase = Phase.opening
    /// The queue that is asked first at the next take.
    private var firstQueue = 0

    private var leases = LeaseObserver()
    public private(set) var leaseProven: MonotonicTime?
    /// What this session or one before it has taken, by number, and not started, put back or concluded.
    private var held: Set<Int>
    private var beatAt = MonotonicTime.distantFuture
    private var lastControl = 0
    /// The mark of the newest revocation that was reported.
    private var lastRevocation = 0

    private var isLookQueued = false
    /// Told, and not asked since: no need to say it again.
    private var hasRung = false
    /// When what is parked next is to be handed out.
    private var releaseAt: MonotonicTime?
    private var fullDeadPlace = FullDeadPlace()

    private enum Phase: Equatable {
        case opening
        case standing
        /// Ends at the given time, done or not.
        case closing(MonotonicTime)
        case lost
    }

    /// - Parameters:
    ///   - queues: from where messages are taken.
    ///   - node: the name by which people know this node.
    ///   - holding: what this incarnation took in earlier sessions and has not settled. Nothing is to be done about it: rows name the
    ///     incarnation, not the session.
    ///   - joinsResults: whether the results are kept in the same file.
    ///   - resultExpiry: for how long then, in seconds; by default a day, as Celery has it.
    public init(
        path: String, queues: [QueueDeclaration], node: String, incarnation: Incarnation, holding: [DeliveryTag], joinsResults: Bool,
        resultExpiry: Int = 86400, deadLetters: DeadLetterLimits = DeadLetterLimits()
    ) {
        line = TransactionLine(path: path)
        self.queues = queues.map(\.name)
        self.node = node
        self.incarnation = incarnation
        self.joinsResults = joinsResults
        self.deadLetters = deadLetters
        self.resultExpiry = resultExpiry
        held = []
        held = Set(holding.compactMap(sequence))
    }

    // MARK: Pollable

    public var interests: [PollInterest] { line.interests }

    public var deadline: MonotonicTime? {
        switch phase {
        case .lost: nil
        case .opening: line.deadline
        case .standing: [line.deadline, beatAt, releaseAt].compactMap { $0 }.min()
        case .closing(let end): min(end, line.deadline ?? end)
        }
    }

    public func ready(_ descriptor: Int32, _ events: PollEvents, now: MonotonicTime) { advance(now) }

    public func expired(now: MonotonicTime) { advance(now) }
    public func flush() { advance(.now) }

    private func advance(_ now: MonotonicTime) {
        if case .closing(let end) = phase, end <= now {
            return finish("closed, but \(node) could not be signed off: others wait until it counts as dead")
        }
        if phase == .standing {
            if beatAt <= now {
                beatAt = .distantFuture
                beat()
            }
            if let releaseAt, releaseAt <= now {
                self.releaseAt = nil
                look()
            }
        }
        for report in line.run(now: now) {
            switch report {
            case .open: beat()
            case .changedElsewhere: look()
            case .notice(let text): events.append(.notice(text))
            case .full(let reason): events.append(.notice("\(reason); tried again each second"))
            case .lost(let reason): finish(reason)
            }
        }
    }

    public func takeEvents() -> [BrokerEvent] {
        defer { events = [] }
        return events
    }

    private func finish(_ reason: String) {
        guard phase != .lost else { return }
        phase = .lost
        line.close()
        events.append(.lost(reason))
    }

    // MARK: orders

    public func take(upTo count: Int) {
        guard count > 0, !queues.isEmpty else { return events.append(.taken([])) }
        let firstSequence = Int(incarnation.reserve(count))
        // A power cut that undoes it ends this node, too: the message then waits as it should.
        line.write(durable: false) { [unowned self] database throws(SQLiteError) in
            let order = Array(queues[firstQueue...] + queues[..<firstQueue])
            let holder = try NodeTable(database).register(incarnation.id, name: node)
            let taken = try MessageTable(database)
                .take(upTo: count, from: order, node: holder, firstSequence: firstSequence, now: .now)
            let revoked = try RevocationRows(database).since(lastRevocation)
            return { [unowned self] in
                report(revoked)
                held.formUnion(taken.map(\.sequence))
                if let last = taken.last, let index = queues.firstIndex(of: last.queue) { firstQueue = (index + 1) % queues.count }
                hasRung = false
                if taken.count < count { look() }
                events.append(.taken(received(taken)))
            }
        }
    }

    public func commit(_ commits: [Commit], as batch: UInt64) {
        line.write(durable: commits.contains(where: \.mustSurvive)) { [unowned self] database throws(SQLiteError) in
            let now = WallTime.now
            let holder = try NodeTable(database).find(incarnation.id)
            let messages = MessageTable(database)
            let attempts = AttemptTable(database)
            var verdicts: [CommitVerdict] = []
            var writes = 0
            var freesBody = false
            for commit in commits {
                guard let holder, let sequence = sequence(of: commit.tag),
                    let held = try messages.held(node: holder, sequence: sequence)
                else {
                    verdicts.append(.void)
                    continue
                }
                if joinsResults {
                    for write in commit.writes { try ResultTable(database).put(write, now: now, keptFor: resultExpiry) }
                    writes += commit.writes.count
                }
                for publication in commit.publications { try messages.publish(publication) }
                switch commit.step {
                case .keep: break
                case .startEarly: try messages.markStarted(held)
                case .conclude: try messages.conclude(held)
                case .putBack(let front): try messages.putBack(held, front: front)
                case .park(let until): try messages.park(held, until: until)
                case .setAside(let reason, let deaths):
                    let record = DeadLetterRecord(reason: reason, queue: commit.queue, taskID: commit.taskID, deaths: deaths)
                    if try messages.setAside(held, record, limits: deadLetters) { freesBody = true }
                }
                let earlier = try commit.attempt.flatMap { note throws(SQLiteError) in
                    try attempts.note(note, of: commit.taskID, now: now)
                }
                verdicts.append(earlier.map { .begun(earlier: $0) } ?? .done)
            }
            if writes > 0 { try ResultTable(database).sweep(upTo: 2 * writes, now: now) }
            let fills = commits.contains { $0.step.fillsQueue || !$0.publications.isEmpty }
            return { [unowned self] in
                for commit in commits where commit.step != .keep {
                    if let sequence = sequence(of: commit.tag) { held.remove(sequence) }
                }
                events.append(.committed(batch: batch, verdicts))
                // The file tells us only of what others write.
                if fills { look() }
                if freesBody, let text = fullDeadPlace.notice() { events.append(.notice(text)) }
            }
        }
    }

    public func revoke(_ ids: [String]) {
        guard phase == .standing, !ids.isEmpty else { return }
        line.write { database throws(SQLiteError) in
            try RevocationRows(database).store(ids, now: .now)
            return {}
        }
    }

    private func report(_ revoked: (ids: [String], newest: Int)) {
        lastRevocation = max(lastRevocation, revoked.newest)
        if !revoked.ids.isEmpty { events.append(.revoked(revoked.ids)) }
    }

    public func reply(_ reply: ControlReply) {
        line.write(durable: false) { database throws(SQLiteError) in
            try ControlTable(database).answer(reply, now: .now)
            return {}
        }
    }

    public func close() {
        if case .closing = phase { return }
        guard phase == .standing else { return finish("closed") }
        phase = .closing(MonotonicTime.now.advanced(by: 1))
        line.write { [unowned self] database throws(SQLiteError) in
            if let holder = try NodeTable(database).find(incarnation.id) {
                _ = try putBackHeld(by: holder, in: database)
                // With start records left, whoever finds us dead concludes them.
                if try MessageTable(database).held(node: holder, upTo: 1).isEmpty { try NodeTable(database).remove(holder) }
            }
            return { [unowned self] in finish("closed") }
        }
    }

    // MARK: leases

    /// Counts up, and sees to those who no longer do. The first one is the proof that the session stands.
    private func beat() {
        line.write(durable: false) { [unowned self] database throws(SQLiteError) in
            let now = MonotonicTime.now
            let nodes = NodeTable(database)
            // Signed off by others: what we held is theirs. An earlier session may not have been told.
            let mayHaveLost = try nodes.find(incarnation.id) == nil || phase == .opening
            let holder = try nodes.register(incarnation.id, name: node)
            try nodes.count(holder)
            var gone: Set<Int> = []
            if mayHaveLost {
                for sequence in held where try MessageTable(database).held(node: holder, sequence: sequence) == nil {
                    gone.insert(sequence)
                }
            }
            var leases = leases
            var recovered = 0
            var orphaned: [MessageTable.Taken] = []
            // Asked and answered in a transaction that writes: a lock that kept the others from counting up has kept us from looking.
            // And none of them can count up while we act on it.
            for death in leases.look(try nodes.counters(besides: incarnation.id), asked: now, answered: now) {
                guard let dead = try nodes.find(death.incarnation) else { continue }
                let left = try putBackHeld(by: dead, in: database)
                recovered += left.putBack
                for record in left.started {
                    // If this is done again, some numbers stay unused.
                    let sequence = Int(incarnation.reserve(1))
                    if let taken = try MessageTable(database).adopt(record, node: holder, sequence: sequence) { orphaned.append(taken) }
                }
                if try MessageTable(database).held(node: dead, upTo: 1).isEmpty { try nodes.remove(dead) }
            }
            try ControlTable(database).sweep(now: .now)
            try AttemptTable(database).sweep(now: .now)
            if joinsResults { try ResultTable(database).sweep(upTo: 100, now: .now) }
            let revoked = try RevocationRows(database).since(lastRevocation)
            let control = phase == .opening ? try ControlTable(database).lastNumber() : lastControl
            return { [unowned self] in
                self.leases = leases
                leaseProven = now
                if !gone.isEmpty {
                    events.append(.gone(gone.map { DeliveryTag("\(incarnation.id):\($0)") }))
                    held.subtract(gone)
                }
                lastControl = control
                beatAt = now.advanced(by: SQLiteBrokerSession.beatInterval)
                if phase == .opening {
                    phase = .standing
                    events.append(.standing)
                }
                report(revoked)
                if recovered > 0 { events.append(.recovered(recovered)) }
                if !orphaned.isEmpty { events.append(.orphaned(received(orphaned))) }
                look()
            }
        }
    }

    /// Puts a node's messages back to where they were taken from; returns how many, and those that must not run again.
    private func putBackHeld(
        by node: Int, in database: SQLiteDatabase
    ) throws(SQLiteError) -> (putBack: Int, started: [MessageTable.Held]) {
        let messages = MessageTable(database)
        let all = try messages.held(node: node, upTo: SQLiteBrokerSession.recoveryBatch)
        for held in all where !held.isStarted { try messages.putBack(held, front: true) }
        let started = all.filter(\.isStarted)
        return (all.count - started.count, started)
    }

    /// Seconds between two signs of life.
    private static let beatInterval = 1.0
    /// Messages of a dead node that are seen to at once; what is left waits until it is found dead again.
    private static let recoveryBatch = 1000

    // MARK: what is new

    /// Looks for messages and control requests; at most one such look waits.
    private func look() {
        guard !isLookQueued, phase == .standing else { return }
        isLookQueued = true
        line.read { [unowned self] database throws(SQLiteError) in
            let messages = MessageTable(database)
            let now = WallTime.now
            var hasWaiting = false
            var due: WallTime?
            for queue in queues {
                if !hasRung, !hasWaiting { hasWaiting = try messages.hasWaiting(in: queue, now: now) }
                if let next = try messages.nextDue(in: queue, now: now) { due = min(due ?? next, next) }
            }
            let requests = try ControlTable(database).requests(after: lastControl)
            return { [unowned self] in
                isLookQueued = false
                releaseAt = due.map { MonotonicTime.now.advanced(by: max(0, $0.seconds - now.seconds - MessageTable.releaseLead)) }
                for request in requests {
                    lastControl = request.number
                    events.append(.control(request.body))
                }
                if hasWaiting, !hasRung {
                    hasRung = true
                    events.append(.rang)
                }
            }
        }
    }

    // MARK: tags

    private func received(_ taken: [MessageTable.Taken]) -> [ReceivedMessage] {
        taken.map { ReceivedMessage(tag: DeliveryTag("\(incarnation.id):\($0.sequence)"), queue: $0.queue, raw: $0.raw) }
    }

    /// Our own number in a tag; nil if it is another incarnation's.
    private func sequence(of tag: DeliveryTag) -> Int? {
        let parts = tag.value.split(separator: ":", omittingEmptySubsequences: false)
        guard parts.count == 2, parts[0] == incarnation.id else { return nil }
        return Int(parts[1])
    }
}

extension Commit {
    /// Whether a power cut must not undo it. What only moves the message, or tells of progress, would be done again by the next
    /// holder. Nothing is ever undone alone: what came later goes first.
    fileprivate var mustSurvive: Bool {
        switch step {
        case .startEarly, .conclude: true
        case .keep where attempt != nil: true
        case .keep, .putBack, .park, .setAside: !publications.isEmpty
        }
    }
}

extension Commit.Step {
    /// Whether a queue may have something to give afterwards.
    fileprivate var fillsQueue: Bool {
        switch self {
        case .putBack, .park: true
        case .startEarly, .keep, .conclude, .setAside: false
        }
    }
}
