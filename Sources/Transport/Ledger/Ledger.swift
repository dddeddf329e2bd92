import CoppiceShared
import CoppiceSystem

/// The book beside a broker that keeps none: who has which message, what was started and acknowledged, attempts, revocations, dead
/// letters; with the results, so that an outcome is written only by who still has its message. Redis and our SQLite file keep such a
/// book within their own brokers; for RabbitMQ they keep it as this.
///
/// One connection's worth, made and dropped as a `BrokerSession` is; never blocks, calls nobody back but `claims`.
public protocol Ledger: Pollable {
    /// As `BrokerSession.leaseProven`.
    var leaseProven: MonotonicTime? { get }

    func takeEvents() -> [LedgerEvent]

    /// Enters messages; answered by one `.claimed`.
    func claim(_ claims: [Claim])

    /// Carries entries out in order; answered by one `.recorded`.
    func record(_ entries: [LedgerEntry])

    /// As `BrokerSession.revoke`.
    func revoke(_ ids: [String])

    /// Hands over what has been ordered.
    func flush()

    /// Gives the lease up; answered by `.lost`, as `BrokerSession.close` is.
    func close()

    /// Drops the connection and keeps the lease: the broker was lost, the node goes on.
    func abandon()
}

/// What a ledger reports.
public enum LedgerEvent: Sendable {
    /// Proven by a round trip. Once, first.
    case standing
    case claimed([ClaimVerdict])
    case recorded([CommitVerdict])
    case revoked([String])
    /// Marks under which this incarnation had something that others have now.
    case gone([String])
    /// As `BrokerEvent.orphaned`; the tags are marks.
    case orphaned([ReceivedMessage])
    case notice(String)
    case lost(String)
}
