import CoppiceShared

/// The settings of the node that concern tasks, as `hello` brings them.
struct NodeSettings: Sendable {
    /// Of `context.retry` where the task declares no policy; nil: for ever.
    let maxRetries: Int?
    /// Whether the master wants to know what tasks are called with.
    let wantsCalls: Bool
    /// Whether the master wants to know which assignment prints what.
    let marksOutput: Bool
    /// Whether the master wants to know how long tasks took.
    let wantsRuntimes: Bool
    /// How a message that has canvas is treated.
    let canvas: Canvas
    /// Celery's default_retry_delay.
    static let retryDelay = 180.0

    enum Canvas: String {
        /// Run the task and say nothing of it.
        case ignore
        /// Run the task and tell the master what is not done.
        case report
        /// Don't run it.
        case refuse
    }

    init(_ settings: JSONObject) {
        wantsCalls = settings["wants_calls"]?.bool ?? false
        marksOutput = settings["marks_output"]?.bool ?? false
        wantsRuntimes = settings["wants_runtimes"]?.bool ?? false
        canvas = settings["canvas"]?.string.flatMap(Canvas.init) ?? .ignore
        switch settings["max_retries"] {
        case .int(let limit): maxRetries = max(0, limit)
        case .null: maxRetries = nil
        default: maxRetries = 3
        }
    }
}
