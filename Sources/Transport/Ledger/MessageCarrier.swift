import CoppiceShared
import CoppiceSystem

/// A broker that carries messages and keeps no book of who has which, what was started or revoked: with a `Ledger` beside it, it is one
/// half of a `LedgeredSession`.
///
/// One connection's worth, made and dropped as a `BrokerSession` is. Tags are the connection's own; one that is not is passed over.
public protocol MessageCarrier: Pollable {
    func takeEvents() -> [CarrierEvent]

    /// What has come and was not asked for yet, up to `count`. When there is less, `.rang` says when to ask again.
    func take(upTo count: Int) -> [ReceivedMessage]

    /// As `BrokerSession.allow`.
    func allow(unsettled count: Int)

    /// Messages that were taken are their reader's now, and lie here no more: their bytes make room for others.
    func passedOn(_ tags: [DeliveryTag])

    /// The message has been dealt with. Nobody ever says that this was read: one that is lost with its connection makes the broker
    /// deliver the message once more.
    func acknowledge(_ tag: DeliveryTag)

    /// Back to where it stood in its queue.
    func requeue(_ tag: DeliveryTag)

    /// Publishes; answered by one `.sent` when the broker has answered for each. A later call may be answered before an earlier one.
    func send(_ sendings: [Sending], as batch: UInt64)

    /// Nothing is to come any more; what has come and was not asked for goes back.
    func stopTaking()

    /// The end of `stopTaking`.
    func resumeTaking()

    /// As `BrokerSession.reply`.
    func reply(_ reply: ControlReply)

    /// Hands over what has been ordered.
    func flush()

    /// Ends the connection in order; answered by `.lost`. What was not acknowledged goes back to its queues.
    func close()
}

/// Something to be published.
public enum Sending: Sendable {
    case publication(TaskPublication)
    /// A message that is held, to the end of its queue, not before a time. It tells by its mark that it is not the original.
    case copy(of: DeliveryTag, queue: String, mark: String, notBefore: WallTime? = nil)
}

/// What a carrier reports.
public enum CarrierEvent: Sendable {
    /// Proven by a round trip. Once, first.
    case standing
    /// Messages have come.
    case rang
    /// The answer to the `send` of that number: for each, nil, or why it can't be published.
    case sent(batch: UInt64, [String?])
    case control([UInt8])
    case notice(String)
    case lost(String)
}
