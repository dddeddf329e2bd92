/// What an `AMQPConnection` reports. Channels are opened by its user and have the numbers that he gave them.
public enum AMQPEvent: Sendable {
    /// Authenticated and in its virtual host.
    case open
    /// The answer to a request of this channel: `index` counts those that have none, the oldest is 0.
    case reply(channel: UInt16, index: Int, AMQPReply)
    case delivery(channel: UInt16, AMQPDelivery)
    case returned(channel: UInt16, AMQPReturn)
    /// A publication in confirm mode is with the server, or (`isTaken` false) is refused; `multiple`: and all before it.
    case confirmed(channel: UInt16, number: UInt64, multiple: Bool, isTaken: Bool)
    /// The server has ended a consumer, as a rule because its queue is gone.
    case cancelled(channel: UInt16, consumerTag: String)
    /// The server has closed a channel: what was under way on it has failed, the number may be opened again.
    case channelClosed(channel: UInt16, code: UInt16, text: String)
    /// The server takes no publications for now, with its reason.
    case blocked(String)
    case unblocked
    /// Over. Last.
    case lost(String)
}
