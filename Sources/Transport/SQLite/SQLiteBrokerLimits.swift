/// The bounds of what grows in the file.
public struct SQLiteBrokerLimits: Sendable {
    /// Records at the dead-letter place; at the bound the oldest goes.
    public var deadRecords = 10_000
    /// Of these, so many with the message's body; at the bound the oldest body goes, and its record stays.
    public var deadBodies = 1_000

    public init() {}
}
