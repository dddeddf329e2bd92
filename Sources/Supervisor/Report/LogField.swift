import Logging

/// What a line of the log concerns: the names of its fields, as they stand in JSON lines. In the journal they are in capitals, behind
/// `COPPICE_`.
enum LogField {
    static let node = "node"
    static let taskID = "task_id"
    static let taskName = "task_name"
    static let queue = "queue"
    /// 0 at the first attempt.
    static let retries = "retries"
    /// Seconds that it ran; in what tells its end.
    static let runtime = "runtime"
    /// The child's number, and its process.
    static let slot = "slot"
    static let childPID = "child_pid"
    /// Where a child's line came from: `stdout`, `stderr` or `logger`.
    static let stream = "stream"
}
