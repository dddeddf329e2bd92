import CoppiceShared
import CoppiceSystem

/// The child process: greets the master, then runs one task at a time until it is told to stop or the master is gone.
struct ChildRuntime {
    /// How many runs the master may have under way beyond the one in work.
    private static let ahead: UInt16 = 64

    private let tasks: TaskRegistry

    init(_ tasks: TaskRegistry) { self.tasks = tasks }

    func run() -> Never {
        guard CurrentProcess.hasDescriptor(PipeProtocol.downDescriptor), CurrentProcess.hasDescriptor(PipeProtocol.upDescriptor) else {
            CurrentProcess.complain("This is a Coppice worker, which a master starts: coppice worker -A PATH-OF-THIS-FILE")
            CurrentProcess.endNow(PipeProtocol.noPipesExit)
        }
        // If the parent died before the kernel was asked to watch it, it is another one now. (The pipe's end tells, too.)
        let parent = CurrentProcess.parent
        CurrentProcess.dieWithParent()
        guard CurrentProcess.parent == parent else { CurrentProcess.endNow(0) }
        CurrentProcess.ignoreBrokenPipes()
        CurrentProcess.printLineByLine()

        let assignments = Assignments()
        let outlet = Outlet(descriptor: PipeProtocol.upDescriptor)
        let reader = MasterReader(assignments: assignments, outlet: outlet)
        let hello = reader.hello()
        let handlers = HandlerThread()
        let runner = TaskRunner(
            tasks: tasks, settings: NodeSettings(hello.settings), assignments: assignments, outlet: outlet, handlers: handlers)
        outlet.append(
            UpFrame.ready(UpFrame.Ready(ahead: Self.ahead, beats: true, recalls: true, tasks: tasks.declarations)).encoded, flush: true)
        runner.begin()
        do {
            try NativeThread.start("pulse") { outlet.pulse(every: Double(max(1, hello.heartbeat)) / 1000) }
            try NativeThread.start("handlers") { handlers.run() }
        } catch {
            CurrentProcess.complain("coppice: \(error)")
            CurrentProcess.endNow(1)
        }
        reader.run()
    }
}

extension ChildRuntime {
    /// The end that `stop` asks for: everything is reported.
    static func end() -> Never { CurrentProcess.end(0) }
}
