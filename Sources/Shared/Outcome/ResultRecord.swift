/// The record of a task's state that Python's clients read (celery-wire §4.1, §4.2).
public struct ResultRecord: Equatable, Sendable {
    public var taskID: String
    public var state: TaskState
    /// JSON text: the return value, the exception, or the meta data.
    public var result: [UInt8]
    public var traceback: String?
    public var group: String?
    public var parentID: String?
    /// Where the node's settings ask for it.
    public var extended: ExtendedResult?
    /// Set for SUCCESS, FAILURE and REVOKED.
    public var dateDone: WallTime?

    public init(taskID: String, state: TaskState, result: [UInt8], traceback: String? = nil, dateDone: WallTime? = nil) {
        self.taskID = taskID
        self.state = state
        self.result = result
        self.traceback = traceback
        self.dateDone = dateDone
    }

    /// The record's text, members in Celery's order.
    public var encoded: [UInt8] {
        var out: [UInt8] = []
        out.reserveCapacity(result.count + 256)
        out.append(contentsOf: "{\"status\": ".utf8)
        JSONText.appendString(state.name, to: &out)
        out.append(contentsOf: ", \"result\": ".utf8)
        out.append(contentsOf: result)
        out.append(contentsOf: ", \"traceback\": ".utf8)
        append(traceback, to: &out)
        out.append(contentsOf: ", \"children\": [], \"date_done\": ".utf8)
        if let dateDone {
            out.append(UInt8(ascii: "\""))
            ISO8601.append(dateDone, to: &out)
            out.append(UInt8(ascii: "\""))
        } else {
            out.append(contentsOf: "null".utf8)
        }
        if let group {
            out.append(contentsOf: ", \"group_id\": ".utf8)
            JSONText.appendString(group, to: &out)
        }
        if let parentID {
            out.append(contentsOf: ", \"parent_id\": ".utf8)
            JSONText.appendString(parentID, to: &out)
        }
        extended?.write(to: &out)
        out.append(contentsOf: ", \"task_id\": ".utf8)
        JSONText.appendString(taskID, to: &out)
        out.append(UInt8(ascii: "}"))
        return out
    }

    private func append(_ text: String?, to out: inout [UInt8]) {
        if let text { JSONText.appendString(text, to: &out) } else { out.append(contentsOf: "null".utf8) }
    }

    /// What an exception looks like in `result`.
    public static func exception(_ failure: TaskFailure) -> [UInt8] {
        JSONValue.object(
            {
                var object = JSONObject()
                object.append("exc_type", .string(failure.type))
                object.append("exc_message", .array(failure.arguments))
                object.append("exc_module", .string(failure.module))
                return object
            }()
        ).bytes
    }
}
