import CoppiceSQLite
import CoppiceShared
import CoppiceSystem

/// A master's session with the embedded broker: Coppice's file, shared by any number of processes of one machine.
///
/// Every order becomes a transaction on the session's line; the answer is reported once it has been committed. What dead nodes held is
/// recovered with the same transaction that counts up our own lease.
public final class SQLiteBrokerSession: BrokerSession {
    private let joinsResults: Bool
    private let lease: NodeLease
    private let queues: [String]
    private let incarnation: Incarnation
    private let deadLetters: DeadLetterLimits
    private let resultExpiry: Int

    private var events: [BrokerEvent] = []
    /// The queue that is asked first at the next take.
    private var firstQueue = 0

    /// What this session or one before it has taken, by number, and not started, put back or concluded.
    private var held: Set<Int>
    private var lastControl = 0

    private var isLookQueued = false
    /// Told, and not asked since: no need to say it again.
    private var hasRung = false
    /// When what is parked next is to be handed out.
    private var releaseAt: MonotonicTime?
    private var fullDeadPlace = FullDeadPlace()

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
        lease = NodeLease(path: path, incarnation: incarnation, name: node)
        self.queues = queues.map(\.name)
        self.incarnation = incarnation
        self.joinsResults = joinsResults
        self.deadLetters = deadLetters
        self.resultExpiry = resultExpiry
        held = []
        held = Set(holding.compactMap(sequence))
    }

    public var leaseProven: MonotonicTime? { lease.proven }

    // MARK: Pollable

    public var interests: [PollInterest] { lease.interests }

    public var deadline: MonotonicTime? {
        guard lease.isStanding, let releaseAt else { return lease.deadline }
        return min(releaseAt, lease.deadline ?? releaseAt)
    }

    public func ready(_ descriptor: Int32, _ events: PollEvents, now: MonotonicTime) { advance(now) }
    public func expired(now: MonotonicTime) { advance(now) }
    public func flush() { advance(.now) }

    private func advance(_ now: MonotonicTime) {
        if lease.isStanding, let releaseAt, releaseAt <= now {
            self.releaseAt = nil
            look()
        }
        lease.advance(now)
        hearLease()
    }

    private func hearLease() {
        for report in lease.takeReports() {
            switch report {
            case .beat: beat()
            case .changedElsewhere: look()
            case .notice(let text): events.append(.notice(text))
            case .lost(let reason): events.append(.lost(reason))
            }
        }
    }

    public func takeEvents() -> [BrokerEvent] {
        defer { events = [] }
        return events
    }

    // MARK: orders

    public func take(upTo count: Int) {
        guard count > 0, !queues.isEmpty else { return events.append(.taken([])) }
        let firstSequence = Int(incarnation.reserve(count))
        // A power cut that undoes it ends this node, too: the message then waits as it should.
        lease.line.write(durable: false) { [unowned self] database throws(SQLiteError) in
            let order = Array(queues[firstQueue...] + queues[..<firstQueue])
            let taken = try MessageTable(database)
                .take(upTo: count, from: order, node: try lease.register(in: database), firstSequence: firstSequence, now: .now)
            let revoked = try lease.revoked(in: database)
            return { [unowned self] in
                tell(revoked)
                held.formUnion(taken.map(\.sequence))
                if let last = taken.last, let index = queues.firstIndex(of: last.queue) { firstQueue = (index + 1) % queues.count }
                hasRung = false
                if taken.count < count { look() }
                events.append(.taken(received(taken)))
            }
        }
    }

    public func commit(_ commits: [Commit], as batch: UInt64) {
        lease.line.write(durable: commits.contains(where: \.mustSurvive)) { [unowned self] database throws(SQLiteError) in
            let holder = try lease.holder(in: database)
            let done = try database.each(commits) { commit throws(SQLiteError) in try carryOut(commit, holder, in: database) }
            let writes = joinsResults ? commits.reduce(0) { $0 + $1.writes.count } : 0
            if writes > 0 { try ResultTable(database).sweep(upTo: 2 * writes, now: .now) }
            let setsAside = commits.contains { if case .setAside = $0.step { true } else { false } }
            let freesBody = setsAside ? try DeadLetterTable(database).makeRoom(deadLetters) : false
            let fills = commits.contains { $0.step.fillsQueue || !$0.publications.isEmpty }
            return { [unowned self] in
                for commit in commits where commit.step != .keep {
                    if let sequence = sequence(of: commit.tag) { held.remove(sequence) }
                }
                for case (let commit, .failure(let error)) in zip(commits, done) {
                    events.append(.notice("what task \(commit.taskID) wants written is refused, its message stays held (\(error))"))
                }
                events.append(.committed(batch: batch, done.map { (try? $0.get()) ?? .void }))
                // The file tells us only of what others write.
                if fills { look() }
                if freesBody, let text = fullDeadPlace.notice() { events.append(.notice(text)) }
            }
        }
    }

    private func carryOut(_ commit: Commit, _ holder: Int?, in database: SQLiteDatabase) throws(SQLiteError) -> CommitVerdict {
        let now = WallTime.now
        let messages = MessageTable(database)
        guard let holder, let sequence = sequence(of: commit.tag), let held = try messages.held(node: holder, sequence: sequence) else {
            return .void
        }
        if joinsResults {
            for write in commit.writes { try ResultTable(database).put(write, now: now, keptFor: resultExpiry) }
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
            try messages.setAside(held, record)
        }
        guard let note = commit.attempt else { return .done }
        let earlier = try AttemptTable(database).note(note, of: commit.taskID, mark: commit.tag.value, now: now)
        return earlier.map { .begun(earlier: $0) } ?? .done
    }

    public func revoke(_ ids: [String]) { lease.revoke(ids) }

    private func tell(_ revoked: NodeLease.Revoked) {
        let ids = lease.learn(revoked)
        if !ids.isEmpty { events.append(.revoked(ids)) }
    }

    public func reply(_ reply: ControlReply) {
        lease.line.write(durable: false) { database throws(SQLiteError) in
            try ControlTable(database).answer(reply, now: .now)
            return {}
        }
    }

    public func close() {
        // With start records left, whoever finds us dead concludes them.
        lease.close { [unowned self] holder, database throws(SQLiteError) in _ = try putBackHeld(by: holder, in: database) }
        hearLease()
    }

    // MARK: leases

    /// Counts up, and sees to those who no longer do. The first one is the proof that the session stands.
    private func beat() {
        lease.line.write(durable: false) { [unowned self] database throws(SQLiteError) in
            guard lease.isOpen else { return {} }
            let messages = MessageTable(database)
            var recovered = 0
            var orphaned: [MessageTable.Taken] = []
            let beat = try lease.beat(in: database) { dead, holder throws(SQLiteError) in
                let left = try putBackHeld(by: dead, in: database)
                recovered += left.putBack
                for record in left.started {
                    // If this is done again, some numbers stay unused.
                    let sequence = Int(incarnation.reserve(1))
                    if let taken = try messages.adopt(record, node: holder, sequence: sequence) { orphaned.append(taken) }
                }
            }
            var gone: Set<Int> = []
            if beat.mayHaveLost {
                for sequence in held where try messages.held(node: beat.holder, sequence: sequence) == nil { gone.insert(sequence) }
            }
            try ControlTable(database).sweep(now: .now)
            if joinsResults { try ResultTable(database).sweep(upTo: 100, now: .now) }
            let revoked = try lease.revoked(in: database)
            let control = lease.isStanding ? lastControl : try ControlTable(database).lastNumber()
            return { [unowned self] in
                if !gone.isEmpty {
                    events.append(.gone(gone.map { DeliveryTag("\(incarnation.id):\($0)") }))
                    held.subtract(gone)
                }
                lastControl = control
                if lease.stand(beat) { events.append(.standing) }
                tell(revoked)
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

    /// Messages of a dead node that are seen to at once; what is left waits until it is found dead again.
    private static let recoveryBatch = 1000

    // MARK: what is new

    /// Looks for messages and control requests; at most one such look waits.
    private func look() {
        guard !isLookQueued, lease.isStanding else { return }
        isLookQueued = true
        lease.line.read { [unowned self] database throws(SQLiteError) in
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
