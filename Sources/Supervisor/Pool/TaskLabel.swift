import CoppiceShared
import Logging

/// How a task that was handed out is called in the log.
struct TaskLabel {
    var assignment: UInt64
    var id: String
    var name: String
    var queue: String
    var retries: Int

    var fields: Logger.Metadata {
        [
            LogField.taskID: .string(id), LogField.taskName: .string(name), LogField.queue: .string(queue),
            LogField.retries: .stringConvertible(retries),
        ]
    }
}

extension TaskLabel {
    init(_ run: RunFrame) {
        self.init(assignment: run.assignment, id: run.id, name: run.name, queue: run.queue, retries: Int(run.retries))
    }
}
