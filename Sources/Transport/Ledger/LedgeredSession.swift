import CoppiceShared
import CoppiceSystem

/// A session with a broker that keeps no book, and the ledger beside it, as one: the same promises as where the broker keeps it all.
///
/// What comes is claimed before it is handed on. A commit is carried out in an order that a death between any two steps can't harm:
/// the result, if the claim stands; then what is sent on, confirmed; then the claim is finished; then the acknowledgement. What the
/// broker delivers once more, since a connection was lost, is told by its claim: ours is adopted, what somebody alive has is asked
/// for again each second, and what is finished is only acknowledged.
public final class LedgeredSession: BrokerSession {
    public let joinsResults: Bool
    private let broker: any BrokerSession
    private let ledger: any Ledger
    private let incarnation: Incarnation
    private let book: ClaimBook

    private var events: [BrokerEvent] = []
    private var isBrokerStanding = false
    private var isLedgerStanding = false
    private var isClosing = false
    private var isOver = false

    /// What is to be done with the next answers, in the order of the questions.
    private var afterClaims: [([ClaimVerdict]) -> Void] = []
    private var afterRecords: [([CommitVerdict]) -> Void] = []
    private var afterCommits: [UInt64: ([CommitVerdict]) -> Void] = [:]
    private var lastBatch: UInt64 = 0

    private var isTaking = false
    private var hasRung = false
    /// Delivered once more while somebody alive had them.
    private var contested: [ReceivedMessage] = []
    private var askAgain: MonotonicTime?
    /// What has become ours since, for the next take.
    private var arrived: [ReceivedMessage] = []

    /// - Parameters:
    ///   - joinsResults: whether the ledger stands where results are kept.
    ///   - book: this incarnation's, over all its sessions.
    public init(broker: any BrokerSession, ledger: any Ledger, incarnation: Incarnation, book: ClaimBook, joinsResults: Bool) {
        self.broker = broker
        self.ledger = ledger
        self.incarnation = incarnation
        self.book = book
        self.joinsResults = joinsResults
        book.forgetBrokerTags()
        drain()
    }

    public var leaseProven: MonotonicTime? { ledger.leaseProven }

    public func takeEvents() -> [BrokerEvent] {
        defer { events.removeAll(keepingCapacity: true) }
        return events
    }

    // MARK: Pollable

    public var interests: [PollInterest] { broker.interests + ledger.interests }
    public var deadline: MonotonicTime? { [broker.deadline, ledger.deadline, isOver ? nil : askAgain].compactMap { $0 }.min() }

    public func ready(_ descriptor: Int32, _ happened: PollEvents, now: MonotonicTime) {
        for side in [broker, ledger] as [any Pollable] where side.interests.contains(where: { $0.descriptor == descriptor }) {
            side.ready(descriptor, happened, now: now)
        }
        drain()
    }

    public func expired(now: MonotonicTime) {
        for side in [broker, ledger] as [any Pollable] {
            if let deadline = side.deadline, deadline <= now { side.expired(now: now) }
        }
        if let askAgain, askAgain <= now {
            self.askAgain = nil
            askForContested()
        }
        drain()
    }

    public func flush() {
        ledger.flush()
        broker.flush()
        drain()
    }

    /// What each side has to say may make orders for the other.
    private func drain() {
        var isQuiet = false
        while !isQuiet, !isOver {
            isQuiet = true
            for event in ledger.takeEvents() {
                isQuiet = false
                accept(event)
            }
            for event in broker.takeEvents() {
                isQuiet = false
                accept(event)
            }
            if !isQuiet {
                ledger.flush()
                broker.flush()
            }
        }
    }

    private func accept(_ event: LedgerEvent) {
        switch event {
        case .standing:
            isLedgerStanding = true
            standIfBoth()
        case .claimed(let verdicts): afterClaims.removeFirst()(verdicts)
        case .recorded(let verdicts): afterRecords.removeFirst()(verdicts)
        case .revoked(let ids): events.append(.revoked(ids))
        case .gone(let marks):
            for mark in marks { book[mark] = nil }
            events.append(.gone(marks.map { DeliveryTag($0) }))
        case .orphaned(let messages): inherit(messages)
        case .notice(let text): events.append(.notice(text))
        case .lost(let reason): lose(isClosing ? reason : "the ledger beside it: \(reason)")
        }
    }

    private func accept(_ event: BrokerEvent) {
        switch event {
        case .standing:
            isBrokerStanding = true
            standIfBoth()
        case .taken(let messages): claim(messages)
        case .committed(let batch, let verdicts): afterCommits.removeValue(forKey: batch)?(verdicts)
        case .lost(let reason):
            guard isClosing, isLedgerStanding else { return lose(reason) }
            // In order: the broker has its messages again before the claims on them lapse.
            isBrokerStanding = false
            ledger.close()
            ledger.flush()
        case .rang: rang()
        case .control, .notice, .revoked, .gone, .orphaned, .recovered: events.append(event)
        }
    }

    private func standIfBoth() {
        if isBrokerStanding, isLedgerStanding { events.append(.standing) }
    }

    private func lose(_ reason: String) {
        guard !isOver else { return }
        isOver = true
        // Dropped with their connections; neither has anything to say any more. The node lives: what it has claimed stays claimed.
        broker.close()
        if isClosing { ledger.close() } else { ledger.abandon() }
        // Claimed and never handed over: the next session must not take them for known.
        for message in arrived { book[message.tag.value] = nil }
        arrived = []
        events.append(.lost(reason))
    }

    public func close() {
        guard !isClosing, !isOver else { return }
        isClosing = true
        guard isBrokerStanding, isLedgerStanding else { return lose("closed") }
        broker.close()
        drain()
    }

    public func reply(_ reply: ControlReply) { broker.reply(reply) }
    public func revoke(_ ids: [String]) { ledger.revoke(ids) }

    // MARK: taking

    public func take(upTo count: Int) {
        guard arrived.isEmpty else {
            let messages = Array(arrived.prefix(count))
            arrived.removeFirst(messages.count)
            events.append(.taken(messages))
            return
        }
        isTaking = true
        broker.take(upTo: count)
        // RabbitMQ's messages are here already: there is no answer on the wire to wait for.
        drain()
    }

    private func taken(_ messages: [ReceivedMessage]) {
        events.append(.taken(messages))
        isTaking = false
        if hasRung {
            hasRung = false
            events.append(.rang)
        }
    }

    /// Told behind the answer to a take that is under way: who hears both takes the answer for the newer.
    private func rang() {
        if isTaking { hasRung = true } else { events.append(.rang) }
    }

    private func claim(_ messages: [ReceivedMessage]) {
        guard !messages.isEmpty else { return taken([]) }
        claim(messages) { [unowned self] ours in
            // Some were others'; behind them there may be more.
            if ours.count < messages.count { hasRung = true }
            taken(ours)
        }
    }

    private func askForContested() {
        let messages = contested
        contested = []
        claim(messages) { [unowned self] ours in
            guard !ours.isEmpty else { return }
            arrived += ours
            rang()
        }
    }

    private func claim(_ messages: [ReceivedMessage], then done: @escaping ([ReceivedMessage]) -> Void) {
        let first = incarnation.reserve(messages.count)
        let claims = messages.enumerated().map { offset, message in
            let mark = RedisTag.make(incarnation, first + UInt64(offset), step: 0)
            return Claim(message: message.claimName ?? mark, mark: mark, mayBeKnown: message.mayBeKnown)
        }
        ledger.claim(claims)
        afterClaims.append { [unowned self] verdicts in
            done(zip(zip(messages, claims), verdicts).compactMap { pair, verdict in enter(pair.0, pair.1, verdict) })
        }
    }

    /// What a claim's answer means for its message; nil: it is not to be run, or not now.
    private func enter(_ message: ReceivedMessage, _ claim: Claim, _ verdict: ClaimVerdict) -> ReceivedMessage? {
        switch verdict {
        case .ours: return hold(message, claim.message, under: claim.mark)
        case .double: return hold(message, claim.double, under: claim.mark)
        case .resumed(let mark):
            guard let known = book[mark] else { return hold(message, claim.message, under: mark) }
            // Two of one name: the other is in this connection's hands, and enough.
            if let other = known.brokerTag, other != message.tag {
                acknowledge(message)
                return nil
            }
            book[mark]?.brokerTag = message.tag
            // Its acknowledgement was lost; the start record is what counts.
            if known.isAcknowledged { acknowledge(message) }
            return nil
        case .taken:
            contested.append(message)
            askAgain = askAgain ?? MonotonicTime.now.advanced(by: LedgeredSession.contestedInterval)
            return nil
        case .finished:
            acknowledge(message)
            return nil
        }
    }

    private func hold(_ message: ReceivedMessage, _ name: String, under mark: String) -> ReceivedMessage {
        book[mark] = ClaimBook.Holding(
            message: name, queue: message.queue, content: try? message.content.get(), raw: message.envelope ?? [], brokerTag: message.tag)
        var held = message
        held.tag = DeliveryTag(mark)
        return held
    }

    private func acknowledge(_ message: ReceivedMessage) {
        commit([Commit(message.tag, queue: message.queue, .conclude)], then: { _ in })
    }

    private func inherit(_ messages: [ReceivedMessage]) {
        for message in messages {
            book[message.tag.value] = ClaimBook.Holding(
                message: message.claimName ?? message.tag.value, queue: message.queue, content: try? message.content.get(),
                raw: message.envelope ?? [], brokerTag: nil, isAcknowledged: true)
        }
        events.append(.orphaned(messages))
    }

    /// Seconds between two questions for what somebody alive has.
    private static let contestedInterval = 1.0

    // MARK: settling

    public func commit(_ commits: [Commit], as batch: UInt64) {
        let holdings = commits.map { book[$0.tag.value] }
        let entries = zip(commits, holdings).map { commit, holding in
            // What is sent on must stand before the claim is finished: only a result so far.
            commit.entry(holding, step: commit.publications.isEmpty ? commit.ledgerStep : .keep, isFirst: true)
        }
        record(entries) { [unowned self] verdicts in sendOn(commits, holdings, verdicts, batch) }
    }

    private func record(_ entries: [LedgerEntry], then done: @escaping ([CommitVerdict]) -> Void) {
        guard !entries.isEmpty else { return done([]) }
        afterRecords.append(done)
        ledger.record(entries)
    }

    private func commit(_ commits: [Commit], then done: @escaping ([CommitVerdict]) -> Void) {
        guard !commits.isEmpty else { return done([]) }
        lastBatch += 1
        afterCommits[lastBatch] = done
        broker.commit(commits, as: lastBatch)
    }

    private func sendOn(_ commits: [Commit], _ holdings: [ClaimBook.Holding?], _ verdicts: [CommitVerdict], _ batch: UInt64) {
        let sending = commits.indices.filter { !verdicts[$0].isVoid && !commits[$0].publications.isEmpty }
        let publications = sending.map { index in
            Commit(commits[index].tag, queue: commits[index].queue, .keep, publications: commits[index].publications)
        }
        commit(publications) { [unowned self] _ in
            record(sending.map { commits[$0].entry(holdings[$0], step: commits[$0].ledgerStep, isFirst: false) }) { [unowned self] _ in
                settle(commits, holdings, verdicts, batch)
            }
        }
    }

    /// The last step, the broker's own. A tag that it does not know any more makes no difference: it will deliver the message once
    /// more, and the claim tells what to do with it.
    private func settle(_ commits: [Commit], _ holdings: [ClaimBook.Holding?], _ verdicts: [CommitVerdict], _ batch: UInt64) {
        var settling: [Commit] = []
        for (index, commit) in commits.enumerated() {
            let mark = commit.tag.value
            let tag = book[mark]?.brokerTag
            if !verdicts[index].isVoid, let holding = holdings[index] {
                switch commit.step {
                case .keep: break
                case .startEarly:
                    book[mark]?.isAcknowledged = true
                    if let tag { settling.append(Commit(tag, queue: commit.queue, .startEarly)) }
                case .conclude, .setAside:
                    if let tag, !holding.isAcknowledged { settling.append(Commit(tag, queue: commit.queue, .conclude)) }
                case .putBack, .park:
                    if holding.isAcknowledged, let content = holding.content {
                        settling.append(
                            Commit(
                                commit.tag, queue: commit.queue, .keep, publications: [TaskPublication(copyOf: content, to: commit.queue)]))
                    } else if let tag {
                        settling.append(Commit(tag, queue: commit.queue, commit.step))
                    }
                }
            }
            if commit.step.isEnd || verdicts[index].isVoid { book[mark] = nil }
        }
        self.commit(settling) { [unowned self] _ in events.append(.committed(batch: batch, verdicts)) }
    }
}

extension Commit.Step {
    /// Whether nothing is held afterwards.
    fileprivate var isEnd: Bool {
        switch self {
        case .startEarly, .keep: false
        case .conclude, .putBack, .park, .setAside: true
        }
    }
}

extension Commit {
    fileprivate var ledgerStep: LedgerEntry.Step {
        switch step {
        case .keep: .keep
        case .startEarly: .start
        case .conclude: .finish
        case .putBack, .park: .release
        case .setAside(let reason, let deaths): .setAside(reason: reason, deaths: deaths)
        }
    }

    /// - Parameter isFirst: the first of the entries for this commit has its results; the last has its attempt's note.
    fileprivate func entry(_ holding: ClaimBook.Holding?, step: LedgerEntry.Step, isFirst: Bool) -> LedgerEntry {
        let isLast = !isFirst || publications.isEmpty
        let needsEnvelope: Bool
        switch step {
        case .start, .setAside: needsEnvelope = true
        case .keep, .finish, .release: needsEnvelope = false
        }
        return LedgerEntry(
            message: holding?.message ?? tag.value, mark: tag.value, queue: queue, step: step, taskID: taskID,
            attempt: isLast ? attempt : nil, writes: isFirst ? writes : [], envelope: needsEnvelope ? holding?.envelope ?? [] : [])
    }
}

extension ReceivedMessage {
    /// As in `Claim`; nil for what can't be read.
    fileprivate var claimName: String? {
        guard case .success(let message) = content else { return nil }
        return "\(message.id):\(message.retries)"
    }

    /// Whether somebody may have had it before. A retry's message may have been sent twice, if the confirmation of the first was lost:
    /// no client sends a second one of that name.
    fileprivate var mayBeKnown: Bool {
        guard case .success(let message) = content else { return false }
        return message.redelivered || message.retries > 0
    }
}
