import CoppiceShared

/// One step in the life of a claimed message, as the ledger carries it out: only if the claim still stands.
public struct LedgerEntry: Sendable {
    public enum Step: Equatable, Sendable {
        /// The claim stays as it is.
        case keep
        /// The task is about to be acknowledged: from here on this is all that is left of the message.
        case start
        /// It has its verdict.
        case finish
        /// It goes back to the broker.
        case release
        case setAside(reason: String, deaths: [AttemptStory])
    }

    /// As in `Claim`.
    public var message: String
    public var mark: String
    public var queue: String
    public var step: Step
    public var taskID: String
    public var attempt: AttemptNote?
    public var writes: [ResultWrite]
    /// The message as an envelope, for `start` and `setAside`.
    public var envelope: [UInt8]
}
