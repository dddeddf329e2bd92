import CoppiceShared
import CoppiceSystem

/// A carrier, and the ledger beside it, as one: the same promises as where a broker keeps the book itself.
///
/// What comes is claimed, before anybody asks for it, and handed on when somebody does. A commit is carried out in an order that a death
/// between any two steps can't harm: the result, if the claim stands; then what is sent on, confirmed; then the claim is finished; then
/// the acknowledgement. What the carrier delivers once more, since a connection was lost, is told by its claim: ours is adopted, what
/// somebody alive has is asked for again each second, and what is finished is only acknowledged.
public final class LedgeredSession: BrokerSession {
    let carrier: any MessageCarrier
    let ledger: any Ledger
    let incarnation: Incarnation
    let book: ClaimBook

    var events: [BrokerEvent] = []
    private var isCarrierStanding = false
    private var isLedgerStanding = false
    private(set) var isStanding = false
    private(set) var isClosing = false
    private var isOver = false

    /// What is to be done with the next answers: the ledger's in the order of the questions, the carrier's by number.
    var afterClaims: [([ClaimVerdict]) -> Void] = []
    var afterRecords: [([CommitVerdict]) -> Void] = []
    var afterSendings: [UInt64: ([String?]) -> Void] = [:]
    var lastSending: UInt64 = 0

    /// How many the take that is not answered wants.
    var wanted: Int?
    var isClaiming = false
    var wantsBell = true
    /// Whether messages are still wanted.
    var isTaking = true
    /// Claimed, and not asked for yet.
    var arrived: [ReceivedMessage] = []
    /// Delivered once more while somebody alive had them.
    var contested: [ReceivedMessage] = []
    var askAgain: MonotonicTime?

    /// - Parameter book: this incarnation's, over all its sessions.
    public init(carrier: any MessageCarrier, ledger: any Ledger, incarnation: Incarnation, book: ClaimBook) {
        self.carrier = carrier
        self.ledger = ledger
        self.incarnation = incarnation
        self.book = book
        book.forgetBrokerTags()
        drain()
    }

    public var leaseProven: MonotonicTime? { ledger.leaseProven }

    public func takeEvents() -> [BrokerEvent] {
        defer { events.removeAll(keepingCapacity: true) }
        return events
    }

    public func reply(_ reply: ControlReply) { carrier.reply(reply) }
    public func revoke(_ ids: [String]) { ledger.revoke(ids) }
    public func allow(unsettled count: Int) { carrier.allow(unsettled: count) }

    public func close() {
        guard !isClosing, !isOver else { return }
        isClosing = true
        guard isCarrierStanding, isLedgerStanding else { return lose("closed") }
        carrier.close()
        drain()
    }

    // MARK: Pollable

    public var interests: [PollInterest] { carrier.interests + ledger.interests }
    public var deadline: MonotonicTime? { [carrier.deadline, ledger.deadline, isOver ? nil : askAgain].compactMap { $0 }.min() }

    public func ready(_ descriptor: Int32, _ happened: PollEvents, now: MonotonicTime) {
        for side in [carrier, ledger] as [any Pollable] where side.interests.contains(where: { $0.descriptor == descriptor }) {
            side.ready(descriptor, happened, now: now)
        }
        drain()
    }

    public func expired(now: MonotonicTime) {
        for side in [carrier, ledger] as [any Pollable] {
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
        carrier.flush()
        drain()
    }

    // MARK: what comes in

    /// What each side has to say may make orders for the other.
    func drain() {
        var isQuiet = false
        while !isQuiet, !isOver {
            isQuiet = true
            for event in ledger.takeEvents() {
                isQuiet = false
                accept(event)
            }
            for event in carrier.takeEvents() {
                isQuiet = false
                accept(event)
            }
            if !isQuiet {
                ledger.flush()
                carrier.flush()
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
        case .gone(let marks): gone(marks)
        case .orphaned(let messages): inherit(messages)
        case .notice(let text): events.append(.notice(text))
        case .lost(let reason): lose(isClosing ? reason : "the ledger beside it: \(reason)")
        }
    }

    private func accept(_ event: CarrierEvent) {
        switch event {
        case .standing:
            isCarrierStanding = true
            standIfBoth()
        case .rang: claimWhatHasCome()
        case .sent(let batch, let failures): afterSendings.removeValue(forKey: batch)?(failures)
        case .control(let body): events.append(.control(body))
        case .notice(let text): events.append(.notice(text))
        case .lost(let reason):
            guard isClosing, isLedgerStanding else { return lose(reason) }
            // In order: the broker has its messages again before the claims on them lapse.
            isCarrierStanding = false
            ledger.close()
            ledger.flush()
        }
    }

    private func standIfBoth() {
        guard isCarrierStanding, isLedgerStanding else { return }
        let stranded = book.stranded
        let entries = stranded.flatMap { mark, names in names.map { LedgerEntry(release: $0, mark: mark) } }
        record(entries) { [unowned self] _ in
            for mark in stranded.keys { book.stranded[mark] = nil }
            isStanding = true
            events.append(.standing)
            claimWhatHasCome()
        }
    }

    private func gone(_ marks: [String]) {
        for mark in marks { letGo(mark) }
        let isGone = Set(marks)
        arrived.removeAll { isGone.contains($0.tag.value) }
        events.append(.gone(marks.map { DeliveryTag($0) }))
    }

    /// Others have the claim; whoever gets the message next will be told so.
    func letGo(_ mark: String) {
        if let holding = book[mark], !holding.isAcknowledged, let tag = holding.brokerTag { carrier.requeue(tag) }
        book[mark] = nil
    }

    private func inherit(_ messages: [ReceivedMessage]) {
        for message in messages {
            book[message.tag.value] = ClaimBook.Holding(
                message: message.claimName ?? message.tag.value, queue: message.queue, content: try? message.content.get(),
                raw: message.envelope ?? [], brokerTag: nil, isAcknowledged: true)
        }
        events.append(.orphaned(messages))
    }

    private func lose(_ reason: String) {
        guard !isOver else { return }
        isOver = true
        // Dropped with their connections; neither has anything to say any more. The node lives: what it has claimed stays claimed.
        carrier.close()
        if isClosing { ledger.close() } else { ledger.abandon() }
        for message in arrived {
            let mark = message.tag.value
            if let name = book[mark]?.message { book.stranded[mark] = [name] }
            book[mark] = nil
        }
        arrived = []
        events.append(.lost(reason))
    }
}

extension ReceivedMessage {
    /// As in `Claim`; nil for what can't be read.
    var claimName: String? {
        guard case .success(let message) = content else { return nil }
        let name = "\(message.id):\(message.retries)"
        return message.copyMark.map { "\(name):\($0)" } ?? name
    }

    /// Whether somebody may have had it before. A retry's message and a copy may have been sent twice, if the confirmation of the first
    /// was lost: no client sends a second one of that name.
    var mayBeKnown: Bool {
        guard case .success(let message) = content else { return false }
        return message.redelivered || message.retries > 0 || message.copyMark != nil
    }
}

extension LedgerEntry {
    /// Takes a claim out again.
    init(release message: String, mark: String) {
        self.init(message: message, mark: mark, queue: "", step: .release, taskID: "", attempt: nil, writes: [], envelope: [])
    }
}
