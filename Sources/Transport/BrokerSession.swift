import CoppiceShared
import CoppiceSystem

/// One connection's worth of a broker, for a master: take, hold, give back, publish, hear control requests.
///
/// A session is a value in the sense of the design: it owns its descriptors and timers, is made for one connection attempt and is
/// dropped when that is lost. What must outlive it (the incarnation, the tags that are held) is handed to the next one. It never
/// blocks, calls nobody back, and reports by `takeEvents`. Held records are renewed by the session itself, and what dead
/// incarnations left is recovered by it, for as long as it stands.
public protocol BrokerSession: Pollable {
    /// When it was last proven that this incarnation counts as alive: the moment at which the last renewal that has been answered was
    /// asked for. Who holds messages starts none of them when that is too long ago: others may have them by now.
    var leaseProven: MonotonicTime? { get }

    /// What has happened since the last call, in order.
    func takeEvents() -> [BrokerEvent]

    /// Takes up to `count` messages, answered by one `.taken`. One at a time; only while the session stands.
    func take(upTo count: Int)

    /// How many messages a broker that gives them unasked may have given and not seen settled. Others need not know.
    func allow(unsettled count: Int)

    /// Carries the steps out in order; answered by one `.committed` with a verdict each. Several calls may be under way; what publishes
    /// may be answered behind a later one that does not.
    ///
    /// - Parameter batch: by which the answer names the call.
    func commit(_ commits: [Commit], as batch: UInt64)

    /// Stores ids as revoked, for every node and for those that come later; not answered. Best effort if the session is lost at once.
    func revoke(_ ids: [String])

    /// Answers a control request: the reply's body (JSON text) to where the request asked for it. Best effort.
    func reply(_ reply: ControlReply)

    /// No message is to come any more that was not asked for: what lies ready here is others' again.
    func stopTaking()

    /// The end of `stopTaking`.
    func resumeTaking()

    /// Hands over at once what has been ordered, in one piece; without it orders leave with the poll loop's next turn.
    func flush()

    /// Ends the session in order: this incarnation's lease is given up. Everything that it held must have been settled. Answered by
    /// `.lost` when done, within a second; by a server that is silent, when it counts as lost.
    func close()
}

extension BrokerSession {
    /// Most brokers give only what is asked for.
    public func allow(unsettled count: Int) {}
    public func stopTaking() {}
    public func resumeTaking() {}
}

/// What a session reports.
public enum BrokerEvent: Sendable {
    /// Proven by a round trip: messages can be taken. Once, first.
    case standing
    /// The answer to `take`. Fewer than asked for means that the queues are empty; `.rang` says when to ask again.
    case taken([ReceivedMessage])
    /// Ids that have been revoked, by whomever; before the answer to a take that they may concern, and all that are remembered before
    /// the first.
    case revoked([String])
    /// Messages may have arrived.
    case rang
    /// The answer to the `commit` of that number, in its order.
    case committed(batch: UInt64, [CommitVerdict])
    /// Held no more: this incarnation was taken for dead, and others have them. Nothing is to be done for them.
    case gone([DeliveryTag])
    /// Started by a node that died, acknowledged early: held now by this incarnation as a start record, to be concluded as lost.
    case orphaned([ReceivedMessage])
    /// So many messages of a node that died have been put back.
    case recovered(Int)
    /// A control request for this or any node: the body's JSON text.
    case control([UInt8])
    /// Something that the operator should know; once each.
    case notice(String)
    /// The session is over, with the reason. Last.
    case lost(String)
}
