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
public protocol WorkerApplication {
    /// Says which tasks there are. Called once, before the child is ready: what is slow here makes every start slow.
    static func register(in tasks: inout TaskRegistry)
}

extension WorkerApplication {
    public static func main() {
        var tasks = TaskRegistry()
        register(in: &tasks)
        ChildRuntime(tasks).run()
    }
}
