import ArgumentParser
import CoppiceClient
import CoppiceShared
import Glibc

struct ResultCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "result", abstract: "Wait for a task and print what it returned, as JSON.",
        discussion: "Exit codes: 0 success, 1 the task failed or was revoked (the reason is on standard error), 75 the time is over.")

    /// sysexits' EX_TEMPFAIL.
    private static let timedOut: Int32 = 75

    @Argument(help: "The task's id.")
    var id: String

    @Option(name: [.short, .long], help: ArgumentHelp("Seconds to wait; for ever if not given.", valueName: "seconds"))
    var timeout: Double?

    @Flag(help: "Print the traceback of a failed task, too.")
    var traceback = false

    @OptionGroup var connection: ConnectionFlags

    func run() throws {
        try CommandFailure.reporting {
            let settings = try Settings(connection)
            if let timeout, !(timeout.isFinite && timeout >= 0) { throw CommandFailure("--timeout: not a number of seconds", code: 2) }
            if case .rabbitmq = settings.results {
                throw CommandFailure(
                    "a result over rpc:// goes to who sent the task, and can't be read by anybody else: name a store with --result-backend",
                    code: 2)
            }
            let bar = ProgressBar()
            var last = TaskState.pending
            let result = try Client(broker: settings.broker, results: settings.results).result(of: id, timeout: timeout) { seen in
                last = seen.state
                bar.show(seen)
            }
            bar.clear()
            guard let result else {
                let text = timeout.map { String($0) } ?? ""
                throw CommandFailure("no result of \(id) within \(text) s; its state is \(last.name)", code: ResultCommand.timedOut)
            }
            guard result.state == .success else {
                if traceback, let text = result.traceback { StandardError.write(TerminalText.lines(text)) }
                throw CommandFailure("\(result.state.name): \(result.failureText)", code: 1)
            }
            print(result.result.text)
        }
    }
}
