import CoppiceRedis
import CoppiceShared
import CoppiceSystem

/// The ledger in the Redis where results are kept: the same leases, start records, attempts, revocations and dead letters as a Redis
/// broker has there, and claims.
public final class RedisLedger: Ledger {
    private let keys: RedisKeys
    private let encoding: CommitEncoding
    private let rights: RedisRights
    private let incarnation: Incarnation
    private let book: ClaimBook
    private let commands: RedisDialogue
    private let member: RedisMember

    private var events: [LedgerEvent] = []
    private var phase = Phase.connecting

    private enum Phase { case connecting, preparing, standing, closing, over }

    /// - Parameter book: what this incarnation has claimed, to see after a pause what of it still stands.
    public init(
        _ url: RedisURL, resultExpiry: Int, deadLetters: DeadLetterLimits = DeadLetterLimits(), incarnation: Incarnation, book: ClaimBook
    ) {
        keys = RedisKeys(url)
        encoding = CommitEncoding(keys: keys, database: url.database, results: url, resultExpiry: resultExpiry, deadLetters: deadLetters)
        rights = RedisRights(keys, places: [], results: url, database: url.database)
        self.incarnation = incarnation
        self.book = book
        commands = RedisDialogue(RedisConnection(url, clientName: "coppice-ledger", now: .now))
        member = RedisMember(url, clientName: "coppice-ledger", incarnation: incarnation)
        member.report = { [unowned self] in report($0) }
        member.check = { [unowned self] in check(isNew: $0, then: $1) }
        drain()
    }

    public var leaseProven: MonotonicTime? { member.proven }

    public func takeEvents() -> [LedgerEvent] {
        defer { events.removeAll(keepingCapacity: true) }
        return events
    }

    // MARK: orders

    public func claim(_ claims: [Claim]) {
        var command = commands.command(.claim, keys: [keys.nodes, keys.revoked, keys.started])
        command.append(incarnation.id)
        command.append(keys.claims)
        command.append(ClaimLifetime.held)
        for claim in claims {
            command.append(claim.message)
            command.append(claim.mark)
            command.append(claim.mayBeKnown ? "1" : "0")
        }
        commands.ask(command) { [unowned self] answer in
            let parts = (answer.array ?? []).compactMap(\.text)
            guard let newest = parts.first, parts.count == claims.count + 1 else { return lose("an answer to claims that makes no sense") }
            // Somebody may have revoked since: first what, then what it may concern.
            member.learnRevocations(upTo: newest) { [unowned self] in
                events.append(.claimed(parts.dropFirst().map(RedisLedger.verdict)))
            }
        }
    }

    private static func verdict(_ mark: String) -> ClaimVerdict {
        switch mark {
        case "O": .ours
        case "D": .double
        case "T": .taken
        case "F": .finished
        default: .resumed(mark: mark)
        }
    }

    public func record(_ entries: [LedgerEntry]) {
        var script = RedisLedgerRecord(encoding.command(.record, on: commands), keys: keys)
        for entry in entries { script.append(entry) }
        commands.ask(script.command) { [unowned self] in
            guard let answer = CommitEncoding.verdicts($0, attempts: entries.map(\.attempt)) else {
                return lose("an answer to the ledger that makes no sense")
            }
            if answer.freesBody { member.freedBody() }
            events.append(.recorded(answer.verdicts))
        }
    }

    public func revoke(_ ids: [String]) {
        if phase == .standing { member.revoke(ids) }
    }

    public func flush() {
        commands.flush()
        drain()
    }

    public func close() {
        guard phase == .standing else { return lose("closed") }
        phase = .closing
        member.leave { [unowned self] in lose("closed") }
    }

    public func abandon() { lose("abandoned") }

    // MARK: Pollable

    private var dialogues: [RedisDialogue] { [member.dialogue, commands] }

    public var interests: [PollInterest] { dialogues.flatMap(\.interests) }

    public var deadline: MonotonicTime? {
        phase == .over ? nil : (dialogues.map(\.deadline) + [member.nextRenewal]).compactMap { $0 }.min()
    }

    public func ready(_ descriptor: Int32, _ happened: PollEvents, now: MonotonicTime) {
        for dialogue in dialogues { dialogue.ready(descriptor, happened, now: now) }
        drain()
    }

    public func expired(now: MonotonicTime) {
        for dialogue in dialogues { dialogue.expired(now: now) }
        _ = member.renewIfDue(now: now)
        drain()
    }

    private func drain() {
        for dialogue in dialogues where phase != .over {
            dialogue.settle { event in
                switch event {
                case .open: opened()
                case .pushed: break
                case .lost(let reason): lose(reason)
                }
            }
        }
    }

    private func lose(_ reason: String) {
        guard phase != .over else { return }
        phase = .over
        commands.connection.giveUp()
        member.dialogue.connection.close()
        events.append(.lost(reason))
    }

    // MARK: standing

    private func opened() {
        guard dialogues.allSatisfy(\.connection.isOpen), phase == .connecting else { return }
        guard dialogues.allSatisfy({ $0.connection.endpoint == commands.connection.endpoint }) else {
            return lose("the servers of the list changed places while we connected")
        }
        phase = .preparing
        commands.load([.rights, .claim, .record]) { [unowned self] in
            rights.probe(on: commands) { [unowned self] in
                if let refusal = $0 { return lose(refusal) }
                member.join(scripts: [.check], except: Set(book.marks.keys)) { [unowned self] in proved() }
            }
        }
        commands.flush()
    }

    private func proved() {
        guard phase == .preparing else { return }
        phase = .standing
        events.append(.standing)
    }

    /// A renewal proves nothing until what this incarnation has claimed is known to be its own: it may have been taken for dead, and its
    /// lease is a new one.
    private func check(isNew: Bool, then done: @escaping () -> Void) {
        // What an earlier session was not told any more, this one is.
        guard isNew || phase == .preparing, !book.marks.isEmpty else { return done() }
        var command = member.dialogue.command(.check, keys: [keys.started])
        for (mark, holding) in book.marks {
            command.append(keys.claims + holding.message)
            command.append(mark)
        }
        member.dialogue.ask(command, for: "the script 'check'", as: \.array) { [unowned self] in
            let gone = $0.compactMap(\.text)
            if !gone.isEmpty { events.append(.gone(gone)) }
            done()
        }
        member.dialogue.flush()
    }

    private func report(_ event: BrokerEvent) {
        switch event {
        case .revoked(let ids): events.append(.revoked(ids))
        case .orphaned(let messages): events.append(.orphaned(messages))
        case .notice(let text): events.append(.notice(text))
        case .lost(let reason): lose(reason)
        // Of a Redis broker's nodes that share the server.
        case .recovered: break
        case .standing, .taken, .rang, .committed, .gone, .control: break
        }
    }
}
