import CoppiceShared
import Logging

/// What a handler learns about the attempt it runs, and what it can say about it.
public struct TaskContext: Sendable {
    let attempt: Attempt

    /// The task's id, the same for all its attempts.
    public var id: String { attempt.run.id }
    public var name: TaskName { TaskName(attempt.run.name) }
    /// How often the task has been retried; 0 at the first attempt.
    public var retries: Int { Int(attempt.run.retries) }
    public var queue: String { attempt.run.queue }
    /// Whether the broker has delivered the message before.
    public var isRedelivered: Bool { attempt.run.redelivered }
    /// The message's headers; the sender's own ones stand among Celery's.
    public var headers: JSONObject { attempt.headers }
    /// The id of the task that the chain of calls began with.
    public var rootID: String? { headers["root_id"]?.string }
    /// The id of the task that sent this one.
    public var parentID: String? { headers["parent_id"]?.string }

    /// Lines for the node's log; they carry the task's name and id.
    public var logger: Logger { Logger(label: attempt.run.name) { _ in PipeLogHandler(attempt: attempt) } }

    /// Why the attempt is asked to end; nil while it is not.
    public var cancellation: CancellationReason? { attempt.cancellation }
    /// Whether the attempt is asked to end; for handlers that do not suspend. What suspends sees Swift's own cancellation.
    public var isCancelled: Bool { cancellation != nil }

    public enum CancellationReason: Sendable {
        /// The soft time limit has passed; the hard one will kill the process.
        case softTimeLimit
        case revoked
    }

    /// Shows a state of the task's own choice, such as PROGRESS, to whoever asks for the result.
    public func update(state: String = "PROGRESS", meta: some Encodable) throws {
        try attempt.update(state: state, meta: ResultEncoder.encode(meta))
    }

    /// Says that the work goes on, and that the same will be said again, or the task have ended, within `timeout`: else its process is killed
    /// and the task lost, as by any other death. Each call begins the time anew and may change it; without a call there is none. Call it where progress
    /// has been made, as often as you like: it costs a microsecond, and waits for the master only where a mebibyte of what the task
    /// has said is not read yet.
    ///
    /// - Parameter timeout: More than nothing; what is not has no effect. To be kept well above what the work between two calls takes.
    public func heartbeat(timeout: Duration) {
        let seconds = timeout.inSeconds
        if seconds > 0 { attempt.pledge(seconds: seconds) }
    }

    // Each of the following is there twice: as the error to throw, and throwing it. So `context.retry()` alone, which would do nothing, does
    // not compile: it wants a `throw` or a `try`.

    /// Another attempt: `throw context.retry()`.
    ///
    /// - Parameters:
    ///   - delay: Until then. nil: as the task's policy says; without one, three minutes.
    ///   - cause: What went wrong: the task's error once no attempt is left.
    @_disfavoredOverload
    public func retry(after delay: Duration? = nil, because cause: (any Error)? = nil) -> any Error {
        RetryRequest(delay: delay, cause: cause)
    }

    public func retry(after delay: Duration? = nil, because cause: (any Error)? = nil) throws {
        throw RetryRequest(delay: delay, cause: cause)
    }

    /// Another attempt would be no use, although the task's policy allows one: `throw context.fail(because: error)`.
    @_disfavoredOverload
    public func fail(because cause: any Error) -> any Error { FinalFailure(cause: cause) }

    public func fail(because cause: any Error) throws { throw FinalFailure(cause: cause) }

    /// The task refuses the message: back to its queue, or away as a failure.
    @_disfavoredOverload
    public func reject(requeue: Bool = false, reason: String) -> any Error { Rejection(requeue: requeue, reason: reason) }

    public func reject(requeue: Bool = false, reason: String) throws { throw Rejection(requeue: requeue, reason: reason) }

    /// The task ends without a result.
    @_disfavoredOverload
    public func ignore() -> any Error { IgnoredResult() }

    public func ignore() throws { throw IgnoredResult() }
}
