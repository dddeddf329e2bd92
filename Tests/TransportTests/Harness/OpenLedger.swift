import CoppiceShared
import CoppiceSystem
import CoppiceTransport

/// A ledger that lets everything pass, in memory: for tests of what stands before it.
final class OpenLedger: Ledger {
    private var events: [LedgerEvent] = [.standing]
    private var claims: Set<String> = []

    let leaseProven: MonotonicTime? = nil
    let interests: [PollInterest] = []
    let deadline: MonotonicTime? = nil

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

    func claim(_ claims: [Claim]) {
        self.claims.formUnion(claims.map(\.mark))
        events.append(.claimed(claims.map { _ in .ours }))
    }

    func record(_ entries: [LedgerEntry]) {
        events.append(
            .recorded(
                entries.map { entry in
                    switch entry.step {
                    case .keep, .start: claims.contains(entry.mark) ? .done : .void
                    case .finish, .release, .setAside: claims.remove(entry.mark) == nil ? .void : .done
                    }
                }))
    }
}

extension LedgeredSession {
    /// A carrier without a book beside it.
    convenience init(bare carrier: AMQPCarrier, _ incarnation: Incarnation = Incarnation()) {
        self.init(carrier: carrier, ledger: OpenLedger(), incarnation: incarnation, book: ClaimBook(), joinsResults: false)
    }
}
