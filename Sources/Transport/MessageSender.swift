import CoppiceShared
import CoppiceSystem

/// A connection that only sends: the client's side of a broker. It holds nothing and has no lease.
public protocol MessageSender: Pollable {
    func takeEvents() -> [SenderEvent]

    /// Sends a task message; answered by `.sent`, or by `.refused` if its exchange leads to no queue, or the broker can't have it.
    func publish(_ publication: TaskPublication)

    /// Stores ids as revoked, so that no node runs them, whether it is up now or not; answered by `.sent`.
    func revoke(_ ids: [String])

    /// Sends a control request (JSON text) to every node; answered by `.sent`.
    func broadcast(_ request: [UInt8])
}

public enum SenderEvent: Sendable {
    case standing
    /// The oldest publication or broadcast that was not answered yet is with the broker.
    case sent
    /// The oldest publication or broadcast that was not answered yet went nowhere: why.
    case refused(String)
    case lost(String)
}
