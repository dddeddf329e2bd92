import CoppiceShared
import CoppiceSystem

/// Where outcomes are kept. One connection's worth, made and dropped as a `BrokerSession` is; never blocks, calls nobody back.
public protocol ResultStore: Pollable {
    func takeEvents() -> [ResultEvent]

    /// Whether it is of use to give it several batches at a time: their answers come in any order, and one may wait for long.
    var takesSeveral: Bool { get }

    /// Whether what it is given has to wait for longer than an answer takes.
    var isHeldUp: Bool { get }

    /// Stores and announces records in order. A stored SUCCESS is never overwritten by another state. Answered by one `.stored`.
    ///
    /// - Parameter batch: by which the answer names the call.
    func store(_ writes: [ResultWrite], as batch: UInt64)

    /// Reads a task's record; answered by `.record`.
    func fetch(_ taskID: String)

    /// Asks for every record of this task that is announced from now on, each reported by `.record`; where listening begins later than the
    /// order, what stands by then is reported first, be it nothing or a record that is reported again.
    func watch(_ taskID: String)
}

extension ResultStore {
    public var takesSeveral: Bool { false }
    public var isHeldUp: Bool { false }
}

public enum ResultEvent: Sendable {
    /// Proven by a round trip. Once, first.
    case standing
    /// The `store` of that number is done.
    case stored(batch: UInt64)
    /// A task's end can't be stored, and why. It is done with all the same.
    case refused(String)
    /// A record's text; nil if there is none.
    case record(taskID: String, text: [UInt8]?)
    /// Something that the operator should know; once each.
    case notice(String)
    /// The connection is over, with the reason. Last.
    case lost(String)
}
