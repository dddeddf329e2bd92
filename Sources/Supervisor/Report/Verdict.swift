import CoppiceShared
import CoppiceSystem
import CoppiceTransport

/// The records that the master itself writes, when no child can: states and wordings as Celery's (celery-wire §4.2).
enum Verdict {
    static func started(_ message: TaskMessage, pid: Int32, node: String) -> ResultRecord {
        var result = Array("{\"pid\": ".utf8)
        DecimalDigits.append(Int(pid), to: &result)
        result.append(contentsOf: ", \"hostname\": ".utf8)
        JSONText.appendString(node, to: &result)
        result.append(UInt8(ascii: "}"))
        return record(message, .started, result)
    }

    static func progress(_ message: TaskMessage, state: String, meta: [UInt8]) -> ResultRecord { record(message, TaskState(state), meta) }

    static func success(_ message: TaskMessage, _ json: [UInt8]) -> ResultRecord { record(message, .success, json, at: .now) }

    static func failure(_ message: TaskMessage, _ failure: TaskFailure) -> ResultRecord {
        record(message, .failure, ResultRecord.exception(failure), traceback: failure.traceback, at: .now)
    }

    static func retry(_ message: TaskMessage, delay: Double, because failure: TaskFailure) -> ResultRecord {
        let text = retryText(delay: delay, because: failure)
        let traceback = (failure.traceback.map { $0 + "\n" } ?? "") + "celery.exceptions.Retry: \(text)\n"
        return record(message, .retry, ResultRecord.exception(failure), traceback: traceback)
    }

    /// `Retry in 60s: ValueError('no')`, as Celery says it; without what went wrong where the task has not said that.
    static func retryText(delay: Double, because failure: TaskFailure) -> String {
        let text = "Retry in \(number(delay).text)s"
        return failure.type == "Retry" && failure.module == "celery.exceptions" ? text : "\(text): \(failure.summary)"
    }

    static func revoked(_ message: TaskMessage, _ why: String) -> ResultRecord {
        record(
            message, .revoked,
            ResultRecord.exception(TaskFailure(type: "TaskRevokedError", module: "celery.exceptions", arguments: [.string(why)])), at: .now)
    }

    /// The child died with the task: Celery's sentence, and what else is known.
    static func lost(_ death: Death, assignment: UInt64) -> TaskFailure {
        TaskFailure(
            type: "WorkerLostError", module: "billiard.exceptions",
            arguments: [
                .string("Worker exited prematurely: \(death.how) Job: \(assignment). \(death.explanation)")
            ], traceback: death.lament)
    }

    /// It died where nobody could see how.
    static func lost(_ how: String) -> TaskFailure {
        TaskFailure(type: "WorkerLostError", module: "billiard.exceptions", arguments: [.string("Worker exited prematurely: \(how).")])
    }

    /// It died as often as a task may.
    static func poisonous(_ deaths: [AttemptStory]) -> TaskFailure {
        lost("\(count(deaths)): \(deaths.map(\.description).joined(separator: "; "))")
    }

    static func count(_ deaths: [AttemptStory]) -> String { "\(deaths.count) attempt\(deaths.count == 1 ? "" : "s") died" }

    static func hardTimeLimit(_ seconds: Double, _ death: Death) -> TaskFailure {
        TaskFailure(
            type: "TimeLimitExceeded", module: "billiard.exceptions", arguments: [number(seconds)],
            traceback: "\(death.story)\n\(death.lament ?? "")")
    }

    static func notRegistered(_ name: String) -> TaskFailure {
        TaskFailure(type: "NotRegistered", module: "celery.exceptions", arguments: [.string(name)])
    }

    static func rejected(_ reason: String) -> TaskFailure {
        TaskFailure(type: "Reject", module: "celery.exceptions", arguments: [.string(reason), false])
    }

    /// The message can't be run.
    static func unusable(_ reason: String) -> TaskFailure {
        TaskFailure(type: TaskFailure.unusableType, module: TaskFailure.unusableModule, arguments: [.string(reason)])
    }

    private static func number(_ value: Double) -> JSONValue {
        value == value.rounded() && abs(value) < 1e15 ? .int(Int(value)) : .double(value)
    }

    private static func record(_ message: TaskMessage, _ state: TaskState, _ result: [UInt8], traceback: String? = nil, at: WallTime? = nil)
        -> ResultRecord
    {
        var record = ResultRecord(taskID: message.id, state: state, result: result, traceback: traceback, dateDone: at)
        record.group = message.group
        record.parentID = message.parentID
        return record
    }
}
