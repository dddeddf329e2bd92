import CoppiceShared

/// A message that has come from a broker which keeps no book of who has what, to be entered under this incarnation's mark.
public struct Claim: Equatable, Sendable {
    /// What the message is known by: `<task id>:<retries>`.
    public var message: String
    /// `<incarnation>:<sequence>:0`.
    public var mark: String
    /// Whether somebody may have had it before; else it is a message of its own, whatever it is called.
    public var mayBeKnown: Bool

    public init(message: String, mark: String, mayBeKnown: Bool) {
        self.message = message
        self.mark = mark
        self.mayBeKnown = mayBeKnown
    }

    /// What a message is known by that is sent again while the first of its name is still in somebody's hands.
    var double: String { message + "#" + mark }
}
