/// What an order to put a dead letter back, or to remove it, has come to.
public enum DeadLetterFate: Equatable, Sendable {
    case done
    /// There is no such record, or somebody else was quicker.
    case noRecord
    /// The record stands, and its message has made room for newer ones: nothing was changed.
    case noMessage
}
