import CoppiceShared
import FoundationEssentials

extension TaskFailure {
    /// What the client is told of an error that ended a task.
    init(_ error: any Error, task: String, at registered: SourceLocation) {
        switch error {
        case let failure as TaskFailure:
            self = failure
            if traceback == nil { describe(task, registered) }
        case let error as any PythonException:
            self.init(type: error.exceptionType, module: error.exceptionModule, arguments: error.exceptionArguments)
            describe(task, error.exceptionLocation ?? registered)
        default:
            let type = Swift.type(of: error)
            let module = String(reflecting: type).prefix { $0 != "." }
            let text = (error as? any LocalizedError)?.errorDescription ?? String(describing: error)
            self.init(type: String(describing: type), module: String(module), arguments: [.string(Self.cut(text))])
            describe(task, registered)
        }
    }

    /// Writes the traceback in Python's form: clients print it as it is.
    private mutating func describe(_ task: String, _ location: SourceLocation) {
        let text = arguments.map { $0.string ?? $0.text }.joined(separator: ", ")
        traceback =
            "Traceback (most recent call last):\n  File \"\(location.file)\", line \(location.line), in \(task)\n\(type): \(Self.cut(text))\n"
    }

    /// Errors may quote what they choked on; a result is no place for megabytes of that.
    private static func cut(_ text: String) -> String {
        text.utf8.count <= 65536 ? text : String(text.prefix(65536)) + "…"
    }

    static func typeError(_ message: String) -> TaskFailure {
        TaskFailure(type: "TypeError", module: "builtins", arguments: [.string(message)])
    }

    static func decodeError(_ message: String) -> TaskFailure {
        TaskFailure(type: "DecodeError", module: "kombu.exceptions", arguments: [.string(message)])
    }

    /// The message asks for what is not done, and the node refuses such ones.
    static func canvasRefused(_ parts: [String]) -> TaskFailure {
        TaskFailure(
            type: unusableType, module: unusableModule,
            arguments: [
                .string("the message has canvas (\(parts.joined(separator: ", "))), which is not done yet, and the node refuses it")
            ])
    }

    static let softTimeLimitExceeded = TaskFailure(type: "SoftTimeLimitExceeded", module: "billiard.exceptions", arguments: [])

    static let revoked = TaskFailure(type: "TaskRevokedError", module: "celery.exceptions", arguments: ["revoked"])
}
