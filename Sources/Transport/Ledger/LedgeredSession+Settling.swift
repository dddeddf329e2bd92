import CoppiceShared

extension LedgeredSession {
    /// What a commit comes to where the ledger and the carrier are two.
    private struct Plan {
        let commit: Commit
        let holding: ClaimBook.Holding?
        /// Sent, and confirmed, before the claim changes.
        var sendings: [Sending]
        /// What becomes of the claim.
        var step: LedgerEntry.Step

        /// - Parameters:
        ///   - isFirst: the first of the entries for this commit has its results; the last has its step and its attempt's note.
        func entry(isFirst: Bool) -> LedgerEntry {
            let isLast = !isFirst || sendings.isEmpty
            let step = isLast ? step : .keep
            let needsEnvelope: Bool
            switch step {
            case .start, .setAside: needsEnvelope = true
            case .keep, .finish, .release: needsEnvelope = false
            }
            return LedgerEntry(
                message: holding?.message ?? commit.tag.value, mark: commit.tag.value, queue: commit.queue, step: step,
                taskID: commit.taskID, attempt: isLast ? commit.attempt : nil, writes: isFirst ? commit.writes : [],
                envelope: needsEnvelope ? holding?.envelope ?? [] : [])
        }
    }

    public func commit(_ commits: [Commit], as batch: UInt64) {
        // A start in this batch is as good as recorded for what stands behind it.
        var started: Set<DeliveryTag> = []
        let plans = commits.map { commit in
            defer { if commit.step == .startEarly { started.insert(commit.tag) } }
            return plan(commit, isStarted: started.contains(commit.tag))
        }
        record(plans.map { $0.entry(isFirst: true) }) { [unowned self] verdicts in sendOn(plans, verdicts, batch) }
    }

    private func plan(_ commit: Commit, isStarted: Bool) -> Plan {
        let holding = book[commit.tag.value]
        var plan = Plan(
            commit: commit, holding: holding, sendings: commit.publications.map(Sending.publication), step: commit.ledgerStep)
        switch commit.step {
        case .startEarly, .keep, .conclude, .setAside: break
        case .putBack, .park:
            guard let holding else { break }
            if holding.isAcknowledged || isStarted {
                guard let content = holding.content else { break }
                plan.sendings.append(.publication(TaskPublication(copyOf: content, to: commit.queue, mark: commit.tag.value)))
            } else if commit.step != .putBack(front: true), let tag = holding.brokerTag {
                plan.sendings.append(.copy(of: tag, queue: commit.queue, mark: commit.tag.value, notBefore: commit.step.parkedUntil))
            } else {
                break
            }
            // The copy is another message: the original is done with, should it come once more.
            plan.step = .finish
        }
        return plan
    }

    func record(_ entries: [LedgerEntry], then done: @escaping ([CommitVerdict]) -> Void) {
        guard !entries.isEmpty else { return done([]) }
        afterRecords.append(done)
        ledger.record(entries)
    }

    private func send(_ sendings: [Sending], then done: @escaping ([String?]) -> Void) {
        guard !sendings.isEmpty else { return done([]) }
        lastSending += 1
        afterSendings[lastSending] = done
        carrier.send(sendings, as: lastSending)
    }

    private func sendOn(_ plans: [Plan], _ verdicts: [CommitVerdict], _ batch: UInt64) {
        let sending = plans.indices.filter { !verdicts[$0].isVoid && !plans[$0].sendings.isEmpty }
        send(sending.flatMap { plans[$0].sendings }) { [unowned self] failures in
            var verdicts = verdicts
            var rest = failures[...]
            for index in sending {
                let count = plans[index].sendings.count
                if let failure = rest.prefix(count).compactMap(\.self).first { verdicts[index] = .refused(failure) }
                rest = rest.dropFirst(count)
            }
            let sent = sending.filter { if case .refused = verdicts[$0] { false } else { true } }
            record(sent.map { plans[$0].entry(isFirst: false) }) { [unowned self] _ in settle(plans, verdicts, batch) }
        }
    }

    /// The last step, the carrier's own. Nothing is waited for: it makes no difference to what is promised.
    private func settle(_ plans: [Plan], _ verdicts: [CommitVerdict], _ batch: UInt64) {
        for (plan, verdict) in zip(plans, verdicts) {
            let mark = plan.commit.tag.value
            if case .refused = verdict { continue }
            guard !verdict.isVoid else {
                letGo(mark)
                continue
            }
            guard let holding = book[mark] else { continue }
            switch plan.step {
            case .keep: continue
            case .start:
                book[mark]?.isAcknowledged = true
                if let tag = holding.brokerTag { carrier.acknowledge(tag) }
            case .release: letGo(mark)
            case .finish, .setAside:
                if let tag = holding.brokerTag, !holding.isAcknowledged { carrier.acknowledge(tag) }
                book[mark] = nil
            }
        }
        events.append(.committed(batch: batch, verdicts))
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
}

extension Commit.Step {
    fileprivate var parkedUntil: WallTime? {
        if case .park(let time) = self { time } else { nil }
    }
}
