import CoppiceShared

extension Outcome {
    /// For one whose frame would be too long: what a task may say at any length, an exception's arguments or a reason, is left out.
    var shortened: Outcome {
        switch self {
        case .failure(let failure): .failure(Self.shortened(failure))
        case .retry(let delay, let failure): .retry(delay: delay, because: Self.shortened(failure))
        case .reject(let requeue, _): .reject(requeue: requeue, reason: "for a reason that is too long to be told")
        case .success, .ignore: self
        }
    }

    private static func shortened(_ failure: TaskFailure) -> TaskFailure {
        TaskFailure(
            type: cut(failure.type), module: cut(failure.module), arguments: ["what it says is too long to be told"],
            traceback: failure.traceback.map(cut))
    }

    private static func cut(_ text: String) -> String { String(decoding: text.utf8.prefix(65536), as: UTF8.self) }
}
