import CoppiceShared
import CoppiceSystem
import Dispatch

/// The child process: greets the master, then runs one task at a time until it is told to stop or the master is gone.
///
/// Four threads: `reader` takes the master's frames, `handlers` runs the tasks, `pulse` beats, and the main thread is left to
/// Swift's main actor, for handlers that use it.
struct ChildRuntime {
    /// How many runs the master may have under way beyond the one in work.
    private static let ahead: UInt16 = 64
    /// At how many different instants of an interval a node's children beat: all at one would keep the machine busy for milliseconds.
    private static let phases: UInt32 = 8

    private let tasks: TaskRegistry
    private let setUp: @Sendable () async throws -> Void
    private let tearDown: @Sendable () async throws -> Void

    init(
        _ tasks: TaskRegistry, setUp: @escaping @Sendable () async throws -> Void, tearDown: @escaping @Sendable () async throws -> Void
    ) {
        self.tasks = tasks
        self.setUp = setUp
        self.tearDown = tearDown
    }

    func run() -> Never {
        guard CurrentProcess.hasDescriptor(PipeProtocol.downDescriptor), CurrentProcess.hasDescriptor(PipeProtocol.upDescriptor) else {
            CurrentProcess.complain("This is a Coppice worker, which a master starts: coppice worker -A PATH-OF-THIS-FILE")
            CurrentProcess.endNow(PipeProtocol.noPipesExit)
        }
        if let complaint = tasks.complaint {
            CurrentProcess.complain("coppice: \(complaint)")
            CurrentProcess.endNow(PipeProtocol.badWorkerExit)
        }
        // If the parent died before the kernel was asked to watch it, it is another one now. (The pipe's end tells, too.)
        let parent = CurrentProcess.parent
        CurrentProcess.dieWithParent()
        guard CurrentProcess.parent == parent else { CurrentProcess.endNow(0) }
        CurrentProcess.ignoreBrokenPipes()
        // A program that a task starts, and that outlives it, would hold them open.
        for pipe in [PipeProtocol.downDescriptor, PipeProtocol.upDescriptor] { CurrentProcess.keepToOurselves(pipe) }
        CurrentProcess.printLineByLine()
        Self.start("reader") { serve() }
        dispatchMain()
    }

    /// The reader thread's life.
    private func serve() -> Never {
        let assignments = Assignments()
        let outlet = Outlet(descriptor: PipeProtocol.upDescriptor)
        // A handler that calls exit takes its own assignment along, but not the reports of those before it.
        CurrentProcess.atExit { outlet.drain() }
        let reader = MasterReader(assignments: assignments, outlet: outlet)
        let hello = reader.hello()
        let handlers = HandlerThread()
        let runner = TaskRunner(
            tasks: tasks, settings: NodeSettings(hello.settings), assignments: assignments, outlet: outlet, handlers: handlers,
            tearDown: tearDown)
        // Meanwhile the master's end is noticed. Heartbeats come only after `ready`.
        Task(executorPreference: handlers) {
            do { try await setUp() } catch {
                CurrentProcess.complain("coppice: setUp has failed: \(error)")
                CurrentProcess.endNow(1)
            }
            let ready = UpFrame.Ready(ahead: Self.ahead, beats: true, recalls: true, tasks: tasks.declarations)
            outlet.append(UpFrame.ready(ready).encoded, flush: true)
            let interval = Double(max(1, hello.heartbeat)) / 1000
            let phase = interval * Double(hello.slot % Self.phases) / Double(Self.phases)
            Self.start("pulse") { outlet.pulse(every: interval, phase: phase) }
            runner.begin()
        }
        Self.start("handlers") { handlers.run() }
        reader.run()
    }

    private static func start(_ name: String, _ body: @escaping @Sendable () -> Void) {
        do {
            try NativeThread.start(name, body)
        } catch {
            CurrentProcess.complain("coppice: can't start the thread \"\(name)\": \(error)")
            CurrentProcess.endNow(1)
        }
    }
}
