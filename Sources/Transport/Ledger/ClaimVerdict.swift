/// What the ledger says to a claim.
public enum ClaimVerdict: Equatable, Sendable {
    case ours
    /// Ours, and another message of the same name is in somebody's hands: entered as `Claim.double`.
    case double
    /// It was ours before, under this mark: the broker delivers it once more after a lost connection.
    case resumed(mark: String)
    /// Somebody who is alive has it.
    case taken
    /// It has had its verdict; only its acknowledgement was lost.
    case finished
}
