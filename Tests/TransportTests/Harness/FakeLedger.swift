import CoppiceShared
import CoppiceSystem
import CoppiceTransport

/// One connection to a ledger in memory.
final class FakeLedger: Ledger {
    /// What outlives connections.
    final class Pages {
        /// Marks by claims' names; a finished one's is empty.
        var claims: [String: String] = [:]
        var started: Set<String> = []
        /// Results and dead letters, in order.
        var written: [String] = []
    }

    let pages: Pages
    /// Whether questions are answered at once. One that is not has been carried out all the same.
    var answers = true
    private var events: [LedgerEvent] = [.standing]

    let leaseProven: MonotonicTime? = nil
    let interests: [PollInterest] = []
    let deadline: MonotonicTime? = nil

    init(_ pages: Pages = Pages()) { self.pages = pages }

    func ready(_ descriptor: Int32, _ events: PollEvents, now: MonotonicTime) {}
    func expired(now: MonotonicTime) {}
    func revoke(_ ids: [String]) {}
    func flush() {}
    func close() { events.append(.lost("closed")) }
    func abandon() {}

    func takeEvents() -> [LedgerEvent] {
        defer { events = [] }
        return events
    }

    /// Says that others have these.
    func tell(gone marks: [String]) {
        for mark in marks { pages.claims = pages.claims.filter { $0.value != mark } }
        events.append(.gone(marks))
    }

    /// As the scripts do, for one incarnation and others that are alive.
    func claim(_ claims: [Claim]) {
        let verdicts = claims.map { claim -> ClaimVerdict in
            switch pages.claims[claim.message] {
            case "" where claim.mayBeKnown: return .finished
            case .some(let mark) where !mark.isEmpty:
                if !claim.mayBeKnown {
                    pages.claims[claim.message + "#" + claim.mark] = claim.mark
                    return .double
                }
                return mark.prefix(32) == claim.mark.prefix(32) ? .resumed(mark: mark) : .taken
            default:
                pages.claims[claim.message] = claim.mark
                return .ours
            }
        }
        if answers { events.append(.claimed(verdicts)) }
    }

    func record(_ entries: [LedgerEntry]) {
        let verdicts = entries.map(carryOut)
        if answers { events.append(.recorded(verdicts)) }
    }

    private func carryOut(_ entry: LedgerEntry) -> CommitVerdict {
        guard pages.claims[entry.message] == entry.mark || pages.started.contains(entry.mark) else { return .void }
        switch entry.step {
        case .keep: break
        case .start: pages.started.insert(entry.mark)
        case .release: pages.claims[entry.message] = nil
        case .finish: pages.claims[entry.message] = ""
        case .setAside(let reason, _):
            pages.claims[entry.message] = ""
            pages.written.append("dead: \(reason)")
        }
        if entry.step != .keep, entry.step != .start { pages.started.remove(entry.mark) }
        pages.written += entry.writes.map(\.taskID)
        return .done
    }
}

extension LedgeredSession {
    /// A carrier without a book beside it that would outlive it.
    convenience init(bare carrier: AMQPCarrier, _ incarnation: Incarnation = Incarnation()) {
        self.init(carrier: carrier, ledger: FakeLedger(), incarnation: incarnation, book: ClaimBook())
    }
}
