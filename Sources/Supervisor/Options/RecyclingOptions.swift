/// When a child is replaced although nothing is wrong with it.
public struct RecyclingOptions: Sendable, Equatable {
    /// The most tasks that a child runs, from 1.
    public var tasks: Int?
    /// Bytes of resident memory; a child that holds more when a task has ended is replaced.
    public var memory: Int?
    /// Whether a task in whose course the child holds more is killed.
    public var killsOverMemory = false

    public init() {}
}
