import ArgumentParser
import CoppiceSupervisor
import Logging

/// What is logged, in which form, and where to.
struct LogFlags: ParsableArguments {
    @Option(
        name: [.customShort("l", allowingJoined: true), .long],
        help: ArgumentHelp("debug, info, warning, error or critical; warning if not given.", valueName: "level"))
    var loglevel: String?

    @Option(
        name: [.customShort("f", allowingJoined: true), .long],
        help: ArgumentHelp("Append the log to a file instead of standard error.", valueName: "path"))
    var logfile: String?

    @Option(
        help: ArgumentHelp(
            "human (Celery's lines), json, journal (systemd's, with fields), or auto: the journal if standard error leads there, else human.",
            valueName: "form"))
    var logFormat: String?

    func options(_ worker: WorkerLookup, node: NodeName) throws -> LogOptions {
        var options = LogOptions(
            level: try level(worker), file: try worker.text(logfile, "logfile").map { try node.path($0, "--logfile") })
        if let name = try worker.text(logFormat, "log-format") {
            guard let format = LogFormat(rawValue: name) else {
                let known = LogFormat.allCases.map(\.rawValue).joined(separator: ", ")
                throw CommandFailure("--log-format: '\(name)' is none of \(known)", code: 2)
            }
            options.format = format
        }
        if options.format == .journal, options.file != nil {
            throw CommandFailure("--log-format: the journal takes no --logfile", code: 2)
        }
        return options
    }

    private func level(_ worker: WorkerLookup) throws -> Logger.Level {
        let name = try worker.text(loglevel, "loglevel") ?? "warning"
        return switch name.lowercased() {
        case "debug": .debug
        case "info": .info
        case "warn", "warning": .warning
        case "error": .error
        case "critical", "fatal": .critical
        default: throw CommandFailure("--loglevel: '\(name)' is none of debug, info, warning, error, critical", code: 2)
        }
    }
}
