import CoppiceShared
import CoppiceTransport

/// Carries control requests out and words the answers as Celery's worker does (celery-wire §7).
struct ControlPanel {
    let node: String
    /// Stops taking messages, or takes them again. Returns whether that is so afterwards: a node that stops takes none again.
    let quiet: (_ isQuiet: Bool) -> Bool
    /// Marks tasks as revoked; with a signal, ends those that run. Returns the ids that ran here.
    let revoke: (_ ids: [String], _ signal: Int32?) -> [String]
    /// The line that systemd gets as STATUS.
    let status: () -> String
    let runTimes: () -> RunTimes
    /// Tells this node from another one of its name.
    var id = Incarnation.randomID()

    /// The reply's value; nil for a request that is for somebody else.
    func answer(_ request: ControlRequest) -> JSONValue? {
        guard request.concerns(node) else { return nil }
        switch request.method {
        case "ping": return ["ok": "pong"]
        // Ours: for `coppice status` and `coppice tune`.
        case "coppice_status": return ["v": 1, "id": .string(id), "ok": .string(status()), "run_seconds": runTimes().json]
        case "coppice_quiet":
            let resumes = request.arguments["resume"]?.isTruthy ?? false
            guard quiet(!resumes) else { return ["v": 1, "id": .string(id), "error": "it stops, and takes no more messages"] }
            return ["v": 1, "id": .string(id), "ok": .string(resumes ? "takes messages" : "takes no more messages")]
        case "revoke": return revoke(request, terminate: request.arguments["terminate"]?.isTruthy ?? false)
        case "terminate": return revoke(request, terminate: true)
        default: return ["error": .string("KeyError(\(PythonRepr.string(request.method)))")]
        }
    }

    private func revoke(_ request: ControlRequest, terminate: Bool) -> JSONValue {
        let ids: [String]
        switch request.arguments["task_id"] {
        case .string(let id): ids = [id]
        case .array(let list): ids = list.compactMap(\.string)
        default: return ["error": "TypeError(\"revoke() missing 1 required positional argument: 'task_id'\")"]
        }
        guard terminate else {
            _ = revoke(ids, nil)
            return ["ok": .string("tasks {\(ids.map(PythonRepr.string).joined(separator: ", "))} flagged as revoked")]
        }
        let wanted = request.arguments["signal"] ?? .null
        let signal = wanted.isTruthy ? SignalName.number(wanted) : SignalName.number("TERM")
        guard let signal else { return ["error": .string("ValueError('unknown signal: \(wanted.string ?? wanted.text)')")] }
        let running = revoke(ids, signal)
        return ["ok": .string("terminate: \(running.isEmpty ? "tasks unknown" : running.joined(separator: ", "))")]
    }
}
