import CoppiceWorkerProcess

@main struct ExampleWorker: WorkerApplication {
    static func register(in tasks: inout TaskRegistry) {
        tasks.on(Add.self) { call, _ in call.x + call.y }
    }
}
struct Add: TaskCall {
    static let name: TaskName = "example.add"
    typealias Output = Int
    var x: Int
    var y: Int
}
