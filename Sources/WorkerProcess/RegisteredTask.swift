import CoppiceShared

/// A task as the registry holds it, its types erased.
struct RegisteredTask: Sendable {
    let declaration: TaskDeclaration
    /// nil: nothing is declared.
    let retry: RetryPolicy?
    /// Where the task was registered: what a failure that knows no better shows.
    let location: SourceLocation
    /// Binds the arguments, calls the handler and returns its output as JSON text.
    let run: @Sendable (TaskArguments, TaskContext) async throws -> [UInt8]
}
