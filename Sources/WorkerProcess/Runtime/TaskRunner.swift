import CoppiceShared
import CoppiceSystem

/// Takes one assignment after the other, runs its handler and reports.
final class TaskRunner: Sendable {
    private let tasks: [String: RegisteredTask]
    private let settings: NodeSettings
    private let assignments: Assignments
    private let outlet: Outlet
    private let handlers: HandlerThread
    private let tearDown: @Sendable () async throws -> Void

    init(
        tasks: TaskRegistry, settings: NodeSettings, assignments: Assignments, outlet: Outlet, handlers: HandlerThread,
        tearDown: @escaping @Sendable () async throws -> Void
    ) {
        self.tasks = tasks.tasks
        self.settings = settings
        self.assignments = assignments
        self.outlet = outlet
        self.handlers = handlers
        self.tearDown = tearDown
    }

    /// Starts the one Swift task that runs all handlers. Making one for each would cost more than a small handler does; only a
    /// cancelled one is replaced. It can't begin before it is known to `assignments`: handlers' thread is the caller or not yet
    /// started.
    func begin() {
        assignments.setExecutor(Task(executorPreference: handlers) { await self.work() })
    }

    private func work() async {
        while true {
            let run: RunFrame
            if let next = assignments.takeIfAny() {
                run = next
            } else {
                outlet.flush()
                guard let next = assignments.take() else { break }
                run = next
            }
            outlet.start(run.assignment, call: settings.wantsCalls ? call(run) : nil)
            if settings.marksOutput { CurrentProcess.beginOutput(of: run.assignment) }
            let began = MonotonicTime.now
            let outcome = await perform(run)
            if settings.wantsRuntimes {
                let seconds = MonotonicTime.now.seconds(since: began)
                outlet.appendWhileRunning(run.assignment, UpFrame.runtime(assignment: run.assignment, seconds: seconds).encoded)
            }
            if settings.marksOutput { CurrentProcess.endOutput() }
            outlet.finish(run.assignment, outcome)
            if assignments.finish() {
                begin()
                return
            }
        }
        outlet.drain()
        do { try await tearDown() } catch { CurrentProcess.complain("coppice: tearDown has failed: \(error)") }
        CurrentProcess.end(0)
    }

    /// The frame that says what the task is called with; nil where the body can't be read, which its outcome will say, or where it has
    /// grown too long by being written anew, in ASCII.
    private func call(_ run: RunFrame) -> [UInt8]? {
        guard let arguments = try? TaskArguments(run) else { return nil }
        let frame = UpFrame.call(
            assignment: run.assignment, arguments: JSONValue.array(arguments.positional).bytes,
            keywords: JSONValue.object(arguments.keyword).bytes
        ).encoded
        return PipeProtocol.fits(frame) ? frame : nil
    }

    private func perform(_ run: RunFrame) async -> Outcome {
        guard let task = tasks[run.name] else {
            return .failure(TaskFailure(type: "NotRegistered", module: "celery.exceptions", arguments: [.string(run.name)]))
        }
        let arguments: TaskArguments
        do { arguments = try TaskArguments(run) } catch { return .failure(error) }
        if !arguments.canvas.isEmpty {
            switch settings.canvas {
            case .ignore: break
            case .report:
                outlet.appendWhileRunning(
                    run.assignment, UpFrame.canvas(assignment: run.assignment, parts: arguments.canvas).encoded)
            case .refuse: return .failure(.canvasRefused(arguments.canvas))
            }
        }
        let attempt = Attempt(run, outlet: outlet, assignments: assignments)
        do {
            let result = try await task.run(arguments, TaskContext(attempt: attempt))
            return .success(result)
        } catch {
            return outcome(of: error, task, attempt, arguments)
        }
    }

    private func outcome(of error: any Error, _ task: RegisteredTask, _ attempt: Attempt, _ arguments: TaskArguments) -> Outcome {
        let run = attempt.run
        func failure(_ error: any Error) -> TaskFailure { TaskFailure(error, task: run.name, at: task.location) }
        switch error {
        case let request as RetryRequest:
            return again(task, run, delay: request.delay, because: request.cause.map(failure), arguments)
        case let rejection as Rejection: return .reject(requeue: rejection.requeue, reason: rejection.reason)
        case is IgnoredResult: return .ignore
        case let final as FinalFailure: return .failure(failure(final.cause))
        case is BindingError: return .failure(failure(error))
        default: break
        }
        switch attempt.cancellation {
        case .softTimeLimit: return .failure(failure(TaskFailure.softTimeLimitExceeded))
        case .revoked: return .failure(.revoked)
        case nil: break
        }
        return task.retry == nil ? .failure(failure(error)) : again(task, run, delay: nil, because: failure(error), arguments)
    }

    /// Another attempt, or the end if there were enough.
    private func again(
        _ task: RegisteredTask, _ run: RunFrame, delay: Duration?, because cause: TaskFailure?, _ arguments: TaskArguments
    ) -> Outcome {
        let limit = task.retry.map { $0.limit } ?? settings.maxRetries
        if let limit, Int(run.retries) >= limit {
            return .failure(
                cause
                    ?? TaskFailure(
                        TaskFailure(
                            type: "MaxRetriesExceededError", module: "celery.exceptions",
                            arguments: [.string("Can't retry \(run.name)[\(run.id)] \(arguments.summary)")]),
                        task: run.name, at: task.location))
        }
        var generator = SystemRandomNumberGenerator()
        let seconds =
            delay.map { max(0, $0.inSeconds) }
            ?? task.retry?.seconds(afterRetries: Int(run.retries), using: &generator) ?? NodeSettings.retryDelay
        return .retry(
            delay: seconds,
            because: cause ?? TaskFailure(type: "Retry", module: "celery.exceptions", arguments: [.string("Retry in \(seconds)s")]))
    }
}
