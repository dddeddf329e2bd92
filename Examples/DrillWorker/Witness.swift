import CoppiceWorkerProcess

/// Keeps a ledger outside the system: what has really run, whatever the broker and the results say. Tests/chaos reads it.
struct Witness {
    /// The folder of the ledger; a worker started with `--child-env DRILL_LEDGER` passes it on.
    static let variable = "DRILL_LEDGER"

    let context: TaskContext

    init(_ context: TaskContext) { self.context = context }

    func run(seconds: Double, times: Int) async throws -> Int {
        try write("start")
        try await Task.sleep(for: .seconds(seconds))
        try write("end")
        if context.retries < times { throw context.retry(after: .milliseconds(500)) }
        return context.retries
    }

    /// One line in one write: id, retries, what, this process, its master, nanoseconds of the monotonic clock. A file a process, so that
    /// a line that a kill has cut short spoils no other process's line.
    private func write(_ what: String) throws {
        guard let folder = System.variable(Self.variable) else { throw ValueError("\(Self.variable) is not set") }
        let pid = System.processID
        let line = "\(context.id) \(context.retries) \(what) \(pid) \(System.parentID) \(System.monotonicNanoseconds)\n"
        try System.append(line, to: "\(folder)/\(pid)")
    }
}
