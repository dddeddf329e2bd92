/// What a commit writes down about a task's attempts. Only tasks that may run again after a death have any: those that are
/// acknowledged late.
public enum AttemptNote: Equatable, Sendable {
    /// One begins. Written before the task is handed out, so that it counts even if it takes the host along.
    case begins(AttemptStory)
    /// It ended by a death, and the message goes on.
    case died(AttemptStory)
    /// It came to nothing: the message goes back unharmed.
    case withdrawn
    /// The task has its verdict: all that was written goes.
    case over

    /// Seconds for which attempts are remembered after the last of them began.
    static let lifetime = 7 * 86400
}
