/// A task that a child can run, with its options as the child's author declared them.
public struct TaskDeclaration: Equatable, Sendable {
    public var name: String
    /// The options as they cross the pipe. Unknown members are passed over, so that a newer child may say more.
    public var options: JSONObject

    public init(name: String, options: JSONObject = JSONObject()) {
        self.name = name
        self.options = options
    }

    /// Acknowledge when the verdict stands rather than when the task starts.
    public var acksLate: Bool { options["acks_late"]?.bool ?? false }
    /// Together with `acksLate`: a task whose child died goes back to its queue instead of failing.
    public var rejectOnWorkerLost: Bool { options["reject_on_worker_lost"]?.bool ?? false }
    /// Acknowledge before the task is handed out, and give it to no child that is busy: it starts at most once, whoever dies.
    public var isStrict: Bool { options["strict"]?.bool ?? false }
    /// At so many deaths of its processes the task is set aside; nil: as the node has it.
    public var mostDeaths: Int? {
        guard case .int(let count)? = options["max_deaths"], count > 0 else { return nil }
        return count
    }
    /// Store nothing, unless the message says otherwise.
    public var ignoreResult: Bool { options["ignore_result"]?.bool ?? false }
    /// Store failures even so.
    public var storesErrorsEvenIfIgnored: Bool? { options["store_errors_even_if_ignored"]?.bool }
    /// Seconds until the task is asked to end; nil: the node's limit.
    public var softTimeLimit: Double? { limit("soft_time_limit") }
    /// Seconds until the task is killed; nil: the node's limit.
    public var timeLimit: Double? { limit("time_limit") }

    /// What is not a positive number counts as none, as in a message's headers.
    private func limit(_ option: String) -> Double? { options[option]?.double.flatMap { $0 > 0 && $0.isFinite ? $0 : nil } }
}
