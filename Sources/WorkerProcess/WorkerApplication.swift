@_exported import protocol CoppiceShared.TaskCall
@_exported import struct CoppiceShared.TaskName
@_exported import struct CoppiceShared.NoOutput
@_exported import struct CoppiceShared.Default
@_exported import struct CoppiceShared.JSONObject
@_exported import enum CoppiceShared.JSONValue
@_exported import struct Logging.Logger

/// A worker's executable: what `coppice worker -A PATH` starts, once per child process.
///
/// ```swift
/// @main struct Worker: WorkerApplication {
///     static func register(in tasks: inout TaskRegistry) {
///         tasks.on(Add.self) { call, _ in call.x + call.y }
///     }
/// }
/// ```
public protocol WorkerApplication: SendableMetatype {
    /// Says which tasks there are. Called once, before anything else.
    static func register(in tasks: inout TaskRegistry)

    /// Loads what the tasks need: a model, a pool of connections. Called once in each child, where its tasks run, before the child is given any.
    /// It must return within the time that a child's start may take. An error ends the child, which counts as a failed start.
    static func setUp() async throws

    /// Lets go of it. Called when the child is to end, after its last task; it has two seconds. An error is written to the log. A child that is
    /// killed, or whose master is gone, ends without it.
    static func tearDown() async throws
}

extension WorkerApplication {
    public static func setUp() async throws {}
    public static func tearDown() async throws {}

    public static func main() {
        var tasks = TaskRegistry()
        register(in: &tasks)
        ChildRuntime(tasks, setUp: { try await setUp() }, tearDown: { try await tearDown() }).run()
    }
}
