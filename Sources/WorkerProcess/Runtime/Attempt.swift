import CoppiceShared
import CoppiceSystem

/// One assignment in work: what a `TaskContext` speaks through. It may be kept beyond the end; then it says nothing any more.
final class Attempt: Sendable {
    let run: RunFrame
    private let outlet: Outlet
    private let assignments: Assignments
    /// Parsed at the first question; most tasks never ask.
    private let parsedHeaders = Monitor<JSONObject?>(nil)

    init(_ run: RunFrame, outlet: Outlet, assignments: Assignments) {
        self.run = run
        self.outlet = outlet
        self.assignments = assignments
    }

    var headers: JSONObject {
        parsedHeaders.withLock { parsed in
            if let parsed { return parsed }
            let headers = (try? JSONValue(parsing: run.headers))?.object ?? JSONObject()
            parsed = headers
            return headers
        }
    }

    var cancellation: TaskContext.CancellationReason? { assignments.cancellation(of: run.assignment) }

    func update(state: String, meta: [UInt8]) throws {
        guard meta.count <= ResultEncoder.maximumSize else { throw ResultEncoder.tooLarge("meta data", meta.count) }
        outlet.appendWhileRunning(run.assignment, UpFrame.state(assignment: run.assignment, name: state, meta: meta).encoded)
    }

    func pledge(seconds: Double) { outlet.pledge(run.assignment, seconds: seconds) }

    func log(_ level: UpFrame.LogLevel, _ text: String) {
        outlet.append(UpFrame.log(assignment: run.assignment, level: level, text: text).encoded)
    }
}
