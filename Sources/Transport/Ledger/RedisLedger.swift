import CoppiceRedis
import CoppiceShared
import CoppiceSystem

/// The ledger in the Redis where results are kept: the same leases, start records, attempts, revocations and dead letters as a Redis
/// broker has there, and claims.
public final class RedisLedger: Ledger {
    private let keys: RedisKeys
    private let url: RedisURL
    private let resultExpiry: Int
    private let deadLetters: DeadLetterLimits
    private let incarnation: Incarnation
    private let book: ClaimBook
    private let dialogue: RedisDialogue
    private var leases: RedisLeases?

    private var events: [LedgerEvent] = []
    private var phase = Phase.preparing
    private var digests: [RedisScripts.Name: String] = [:]
    private var nextRenewal = MonotonicTime.distantFuture
    private var lastRevocation = ""
    private var fullDeadPlace = FullDeadPlace()
    public private(set) var leaseProven: MonotonicTime?

    private enum Phase { case preparing, standing, closing, over }

    /// - Parameter book: what this incarnation has claimed, to see after a pause what of it still stands.
    public init(
        _ url: RedisURL, resultExpiry: Int, deadLetters: DeadLetterLimits = DeadLetterLimits(), incarnation: Incarnation, book: ClaimBook
    ) {
        self.url = url
        keys = RedisKeys(url)
        self.resultExpiry = resultExpiry
        self.deadLetters = deadLetters
        self.incarnation = incarnation
        self.book = book
        dialogue = RedisDialogue(RedisConnection(url, clientName: "coppice-ledger", now: .now), scripts: RedisScripts.Name.ledger)
        leases = RedisLeases(
            keys: keys, incarnation: incarnation, dialogue: dialogue, digest: { [unowned self] in digests[$0] ?? "" }, gone: { _ in },
            report: { [unowned self] in report($0) })
        drain()
    }

    public func takeEvents() -> [LedgerEvent] {
        defer { events.removeAll(keepingCapacity: true) }
        return events
    }

    // MARK: orders

    public func claim(_ claims: [Claim]) {
        var command = RedisCommand("EVALSHA", digests[.claim] ?? "", "2", keys.nodes, keys.revoked, incarnation.id, keys.claims)
        command.append(ClaimLifetime.held)
        for claim in claims {
            command.append(claim.message)
            command.append(claim.mark)
            command.append(claim.mayBeKnown ? "1" : "0")
        }
        dialogue.ask(command) { [unowned self] answer in
            let parts = (answer.array ?? []).compactMap(\.text)
            guard let newest = parts.first, parts.count == claims.count + 1 else { return lose("an answer to claims that makes no sense") }
            let verdicts = parts.dropFirst().map(RedisLedger.verdict)
            guard newest.isEmpty || newest == lastRevocation else {
                // Somebody has revoked since: first what, then what it may concern.
                learnRevocations { [unowned self] in events.append(.claimed(verdicts)) }
                return
            }
            events.append(.claimed(verdicts))
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
        var script = RedisLedgerRecord(
            digest: digests[.record] ?? "", keys: keys, url: url, resultExpiry: resultExpiry, deadLetters: deadLetters)
        for entry in entries { script.append(entry) }
        dialogue.ask(script.command) { [unowned self] in
            guard let answer = RedisEffects.verdicts($0, attempts: entries.map(\.attempt)) else {
                return lose("an answer to the ledger that makes no sense")
            }
            if answer.freesBody, let text = fullDeadPlace.notice() { events.append(.notice(text)) }
            events.append(.recorded(answer.verdicts))
        }
    }

    public func revoke(_ ids: [String]) {
        guard phase == .standing, !ids.isEmpty else { return }
        dialogue.ask(RedisRevocations.store(ids, keys))
    }

    public func flush() {
        dialogue.flush()
        drain()
    }

    public func close() {
        guard phase == .standing, let leases else { return lose("closed") }
        phase = .closing
        leases.release { [unowned self] in lose("closed") }
        dialogue.flush()
    }

    public func abandon() { lose("abandoned") }

    // MARK: Pollable

    public var interests: [PollInterest] { dialogue.connection.interests }

    public var deadline: MonotonicTime? {
        [dialogue.connection.deadline, phase == .standing ? nextRenewal : nil].compactMap { $0 }.min()
    }

    public func ready(_ descriptor: Int32, _ happened: PollEvents, now: MonotonicTime) {
        dialogue.connection.ready(descriptor, happened, now: now)
        drain()
    }

    public func expired(now: MonotonicTime) {
        if let deadline = dialogue.connection.deadline, deadline <= now { dialogue.connection.expired(now: now) }
        if phase == .standing, nextRenewal <= now {
            nextRenewal = now.advanced(by: RedisLeases.interval)
            renew {}
        }
        drain()
    }

    private func drain() {
        for event in dialogue.connection.takeEvents() {
            switch event {
            case .open: opened()
            case .reply(let label, let value): if let error = dialogue.answer(label, value) { lose(error) }
            case .lost(let reason): lose(reason)
            }
        }
    }

    private func lose(_ reason: String) {
        guard phase != .over else { return }
        phase = .over
        dialogue.connection.giveUp()
        events.append(.lost(reason))
    }

    // MARK: standing

    private func opened() {
        dialogue.ask(RedisCommand("INFO"), tolerant: true) { [unowned self] in
            let facts = RedisServerFacts(info: $0.text ?? "")
            if let refusal = facts.refusal { lose(refusal) }
            if let warning = facts.warning { events.append(.notice(warning)) }
        }
        for name in RedisScripts.Name.ledger {
            dialogue.ask(RedisCommand("SCRIPT", "LOAD", RedisScripts.text(name))) { [unowned self] in
                digests[name] = $0.text
                if digests.count == RedisScripts.Name.ledger.count { prove() }
            }
        }
        dialogue.flush()
    }

    private func prove() {
        renew { [unowned self] in
            leases?.reclaim(except: Set(book.marks.keys)) { [unowned self] in
                learnRevocations { [unowned self] in
                    guard phase == .preparing else { return }
                    phase = .standing
                    nextRenewal = MonotonicTime.now.advanced(by: RedisLeases.interval)
                    events.append(.standing)
                }
            }
        }
    }

    /// Counts the lease on. It proves nothing until what this incarnation has claimed is known to be its own: it may have been taken
    /// for dead, and its lease is a new one.
    private func renew(then done: @escaping () -> Void) {
        guard let leases else { return }
        leases.renew([]) { [unowned self] in
            // What an earlier session was not told any more, this one is.
            guard leases.isNew || phase == .preparing, !book.marks.isEmpty else {
                leaseProven = leases.proven
                return done()
            }
            var command = RedisCommand("EVALSHA", digests[.check] ?? "", "1", keys.started)
            for (mark, holding) in book.marks {
                command.append(keys.claims + holding.message)
                command.append(mark)
            }
            let proven = leases.proven
            dialogue.ask(command) { [unowned self] in
                let gone = ($0.array ?? []).compactMap(\.text)
                if !gone.isEmpty { events.append(.gone(gone)) }
                leaseProven = proven
                done()
            }
            dialogue.flush()
        }
        dialogue.flush()
    }

    private func learnRevocations(then done: @escaping () -> Void) {
        dialogue.ask(RedisRevocations.fetch(after: lastRevocation, keys)) { [unowned self] in
            let found = RedisRevocations.read($0)
            if let newest = found.newest {
                lastRevocation = newest
                events.append(.revoked(found.ids))
            }
            done()
        }
        dialogue.flush()
    }

    private func report(_ event: BrokerEvent) {
        switch event {
        case .orphaned(let messages): events.append(.orphaned(messages))
        case .notice(let text): events.append(.notice(text))
        // Of a Redis broker's nodes that share the server.
        case .recovered: break
        case .standing, .taken, .revoked, .rang, .committed, .gone, .control, .lost: break
        }
    }
}
