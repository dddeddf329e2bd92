/// The bounds of the dead-letter place.
public struct DeadLetterLimits: Sendable {
    /// Records; at the bound the oldest goes.
    public var records = 10_000
    /// Bytes of the messages that are kept with them; at the bound the oldest message goes, and its record stays.
    public var bytes = 256 << 20

    public init() {}
}
