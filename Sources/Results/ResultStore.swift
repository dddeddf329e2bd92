import CoppiceShared
import CoppiceSystem

/// Where outcomes are kept. One connection's worth, made and dropped as a `BrokerSession` is; never blocks, calls nobody back.
public protocol ResultStore: Pollable {
    func takeEvents() -> [ResultEvent]

    /// Stores and announces records in order. A stored SUCCESS is never overwritten by another state. Answered by one `.stored`.
    func store(_ writes: [ResultWrite])

    /// Reads a task's record; answered by `.record`.
    func fetch(_ taskID: String)

    /// Asks for every record of this task that is announced from now on, each reported by `.record`; where listening begins later than the
    /// order, what stands by then is reported first, be it nothing or a record that is reported again.
    func watch(_ taskID: String)
}

public enum ResultEvent: Sendable {
    /// Proven by a round trip. Once, first.
    case standing
    /// The oldest `store` that was not answered yet is done.
    case stored
    /// A record's text; nil if there is none.
    case record(taskID: String, text: [UInt8]?)
    /// Something that the operator should know; once each.
    case notice(String)
    /// The connection is over, with the reason. Last.
    case lost(String)
}
