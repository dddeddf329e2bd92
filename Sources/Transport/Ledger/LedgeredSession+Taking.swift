import CoppiceShared
import CoppiceSystem

extension LedgeredSession {
    /// Seconds between two questions for what somebody alive has.
    private static let contestedInterval = 1.0
    /// How many messages are claimed in one step, at most.
    private static let mostClaims = 1000

    public func take(upTo count: Int) {
        wanted = count
        answer()
    }

    public func stopTaking() {
        isTaking = false
        carrier.stopTaking()
        answer()
        flush()
    }

    public func resumeTaking() {
        isTaking = true
        carrier.resumeTaking()
        flush()
    }

    /// Answers a take as soon as there is something, or nothing on its way.
    private func answer() {
        if !isTaking { giveBackArrived() }
        guard let count = wanted else {
            guard wantsBell, !arrived.isEmpty else { return }
            wantsBell = false
            events.append(.rang)
            return
        }
        guard !arrived.isEmpty || !isClaiming else { return }
        let messages = Array(arrived.prefix(count))
        arrived.removeFirst(messages.count)
        wanted = nil
        wantsBell = messages.count < count
        carrier.passedOn(messages.compactMap { book[$0.tag.value]?.brokerTag })
        events.append(.taken(messages))
    }

    /// As they stood in their queue: by priority, and what was delivered before in front of what has never been.
    private func line(up message: ReceivedMessage) {
        let place = message.place
        let end = arrived.lastIndex { $0.place <= place }.map { $0 + 1 } ?? arrived.startIndex
        arrived.insert(message, at: end)
    }

    private func giveBackArrived() {
        let messages = arrived
        arrived = []
        let entries = messages.compactMap { message in
            book[message.tag.value].map { LedgerEntry(release: $0.message, mark: message.tag.value) }
        }
        record(entries) { [unowned self] _ in
            for message in messages { letGo(message.tag.value) }
        }
    }

    // MARK: claims

    /// One question at a time: what comes meanwhile makes the next.
    func claimWhatHasCome() {
        guard isStanding, !isClosing, !isClaiming else { return }
        let messages = carrier.take(upTo: LedgeredSession.mostClaims)
        guard !messages.isEmpty else { return }
        isClaiming = true
        claim(messages) { [unowned self] in
            isClaiming = false
            claimWhatHasCome()
        }
    }

    func askForContested() {
        let messages = contested
        contested = []
        if !messages.isEmpty { claim(messages) {} }
    }

    private func claim(_ messages: [ReceivedMessage], then done: @escaping () -> Void) {
        let first = incarnation.reserve(messages.count)
        let claims = messages.enumerated().map { offset, message in
            let mark = RedisTag.make(incarnation, first + UInt64(offset), step: 0)
            return Claim(message: message.claimName ?? mark, mark: mark, mayBeKnown: message.mayBeKnown)
        }
        for claim in claims { book.stranded[claim.mark] = [claim.message, claim.double] }
        ledger.claim(claims)
        afterClaims.append { [unowned self] verdicts in
            for claim in claims { book.stranded[claim.mark] = nil }
            for (index, verdict) in verdicts.enumerated() {
                if let message = enter(messages[index], claims[index], verdict) { line(up: message) }
            }
            done()
            answer()
        }
    }

    /// What a claim's answer means for its message; nil: it is not to be run, or not now.
    private func enter(_ message: ReceivedMessage, _ claim: Claim, _ verdict: ClaimVerdict) -> ReceivedMessage? {
        switch verdict {
        case .ours: return hold(message, claim.message, under: claim.mark)
        case .double: return hold(message, claim.double, under: claim.mark)
        case .resumed(let mark):
            guard let known = book[mark] else { return hold(message, claim.message, under: mark) }
            let isTwice = known.brokerTag.map { $0 != message.tag } ?? false
            // Two of one name: this one is what we have as a double, or has been sent twice by mistake.
            let place = isTwice ? awaitedDouble(of: claim.message) : mark
            guard let place, let holding = book[place] else {
                carrier.acknowledge(message.tag)
                return nil
            }
            book[place]?.brokerTag = message.tag
            // Its body is here already, with its task.
            carrier.passedOn([message.tag])
            // Its acknowledgement was lost; the start record is what counts.
            if holding.isAcknowledged { carrier.acknowledge(message.tag) }
            return nil
        case .taken:
            contested.append(message)
            askAgain = askAgain ?? MonotonicTime.now.advanced(by: LedgeredSession.contestedInterval)
            return nil
        case .finished:
            carrier.acknowledge(message.tag)
            return nil
        }
    }

    private func awaitedDouble(of name: String) -> String? {
        book.marks.first { mark, holding in holding.brokerTag == nil && holding.message == name + "#" + mark }?.key
    }

    private func hold(_ message: ReceivedMessage, _ name: String, under mark: String) -> ReceivedMessage {
        book[mark] = ClaimBook.Holding(
            message: name, queue: message.queue, content: try? message.content.get(), raw: message.envelope ?? [], brokerTag: message.tag)
        var held = message
        held.tag = DeliveryTag(mark)
        return held
    }
}

extension ReceivedMessage {
    /// A lower rank stands in front.
    fileprivate var place: (rank: Int, isNew: Int) {
        let message = try? content.get()
        return (PriorityOrder.highestFirst.rank(of: message?.priority ?? 0), message?.redelivered == true ? 0 : 1)
    }
}
