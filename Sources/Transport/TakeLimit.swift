/// How much a master has in its hands.
public enum TakeLimit {
    /// Bytes of messages after which a take ends, and of those that are claimed after which no more are taken: what a window of the
    /// largest messages would need, no master has. The message that passes the bound is taken still.
    public static let bytes = 64 << 20
}
