/// What became of one commit.
public enum CommitVerdict: Equatable, Sendable {
    case done
    /// Done, and an attempt is written down. The earlier ones that died, the oldest first.
    case begun(earlier: [AttemptStory])
    /// This incarnation does not hold the message any more: nothing was done.
    case void
    /// The follow-up can't be sent, and why: the records are written, and the message is held as before.
    case refused(String)

    public var isVoid: Bool { self == .void }
}
