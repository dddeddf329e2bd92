/// A task's state on the wire; tasks may report states of their own while they run.
public struct TaskState: Hashable, Sendable {
    public let name: String

    public init(_ name: String) { self.name = name }

    public static let pending = TaskState("PENDING")
    public static let started = TaskState("STARTED")
    public static let success = TaskState("SUCCESS")
    public static let failure = TaskState("FAILURE")
    public static let retry = TaskState("RETRY")
    public static let revoked = TaskState("REVOKED")

    /// Nothing follows: a waiting client may return.
    public var isReady: Bool { self == .success || self == .failure || self == .revoked }
}
