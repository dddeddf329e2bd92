import CoppiceShared

/// The tasks that a worker can run, each with its handler and options.
public struct TaskRegistry: Sendable {
    private(set) var tasks: [String: RegisteredTask] = [:]
    /// In the order of registration, as `ready` lists them.
    private(set) var names: [String] = []
    /// Why a worker with these tasks can't be started; nil: it can.
    private(set) var complaint: String?

    /// A registry of no tasks; for tests. `WorkerApplication.register` is given one.
    public init() {}

    /// Adds a task. A worker that registers two of one name does not start.
    ///
    /// - Parameters:
    ///   - retry: What happens when the handler throws. nil: the task fails, and `context.retry` follows the node's settings.
    ///   - acksLate: Acknowledge the message when the verdict stands rather than when the task starts: a lost node's tasks run again.
    ///   - rejectOnWorkerLost: With `acksLate`: when the child dies the task goes back to its queue instead of failing.
    ///   - maxDeaths: With `rejectOnWorkerLost`: at so many deaths, on all nodes together, the task is set aside. nil: the node's setting,
    ///     which is 3 unless said otherwise. From 1.
    ///   - strict: Without `acksLate`: acknowledge before the task is handed out, so that it starts at most once whoever dies and when; it
    ///     costs a round trip to the broker, and a task that no child came to start is reported as lost, too.
    ///   - ignoreResult: Store no result, unless the message asks for one.
    ///   - softTimeLimit: After so long the handler is cancelled. nil: the node's limit.
    ///   - timeLimit: After so long the child is killed. nil: the node's limit.
    public mutating func on<Call: TaskCall>(
        _ call: Call.Type,
        retry: RetryPolicy? = nil,
        acksLate: Bool = false,
        rejectOnWorkerLost: Bool = false,
        maxDeaths: Int? = nil,
        strict: Bool = false,
        ignoreResult: Bool = false,
        softTimeLimit: Duration? = nil,
        timeLimit: Duration? = nil,
        file: StaticString = #fileID,
        line: UInt = #line,
        handler: @escaping @Sendable (Call, TaskContext) async throws -> Call.Output
    ) {
        var options = JSONObject()
        if acksLate { options["acks_late"] = true }
        if rejectOnWorkerLost { options["reject_on_worker_lost"] = true }
        if let maxDeaths { options["max_deaths"] = .int(max(1, maxDeaths)) }
        if strict { options["strict"] = true }
        if ignoreResult { options["ignore_result"] = true }
        if let softTimeLimit { options["soft_time_limit"] = .double(softTimeLimit.inSeconds) }
        if let timeLimit { options["time_limit"] = .double(timeLimit.inSeconds) }
        add(
            RegisteredTask(
                declaration: TaskDeclaration(name: Call.name.text, options: options), retry: retry,
                location: SourceLocation(file: file, line: line)
            ) { arguments, context in
                let call: Call = try arguments.bind()
                let output = try await handler(call, context)
                return try ResultEncoder.encode(output)
            })
    }

    /// Adds a task that returns nothing. (A handler that only throws fits both; the other one is taken.)
    @_disfavoredOverload
    public mutating func on<Call: TaskCall>(
        _ call: Call.Type,
        retry: RetryPolicy? = nil,
        acksLate: Bool = false,
        rejectOnWorkerLost: Bool = false,
        maxDeaths: Int? = nil,
        strict: Bool = false,
        ignoreResult: Bool = false,
        softTimeLimit: Duration? = nil,
        timeLimit: Duration? = nil,
        file: StaticString = #fileID,
        line: UInt = #line,
        handler: @escaping @Sendable (Call, TaskContext) async throws -> Void
    ) where Call.Output == NoOutput {
        on(
            call, retry: retry, acksLate: acksLate, rejectOnWorkerLost: rejectOnWorkerLost, maxDeaths: maxDeaths, strict: strict,
            ignoreResult: ignoreResult,
            softTimeLimit: softTimeLimit, timeLimit: timeLimit, file: file, line: line
        ) { call, context -> NoOutput in
            try await handler(call, context)
            return NoOutput()
        }
    }

    private mutating func add(_ task: RegisteredTask) {
        let name = task.declaration.name
        guard let earlier = tasks.updateValue(task, forKey: name) else { return names.append(name) }
        complaint =
            complaint
            ?? "two tasks are named \(name): at \(earlier.location.file):\(earlier.location.line) and \(task.location.file):\(task.location.line)"
    }

    var declarations: [TaskDeclaration] { names.compactMap { tasks[$0]?.declaration } }
}
