import CoppiceShared

/// The settings of the node that concern tasks, as `hello` brings them.
struct NodeSettings: Sendable {
    /// Of `context.retry` where the task declares no policy; nil: for ever.
    let maxRetries: Int?
    /// Whether the master wants to know what tasks are called with.
    let wantsCalls: Bool
    /// Whether the master wants to know which assignment prints what.
    let marksOutput: Bool
    /// Celery's default_retry_delay.
    static let retryDelay = 180.0

    init(_ settings: JSONObject) {
        wantsCalls = settings["wants_calls"]?.bool ?? false
        marksOutput = settings["marks_output"]?.bool ?? false
        switch settings["max_retries"] {
        case .int(let limit): maxRetries = max(0, limit)
        case .null: maxRetries = nil
        default: maxRetries = 3
        }
    }
}
