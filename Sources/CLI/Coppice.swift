import ArgumentParser
import CoppiceShared
import CoppiceSystem

@main
struct Coppice: ParsableCommand {
    static let version = "0.1.0"

    static let configuration = CommandConfiguration(
        commandName: "coppice",
        abstract: "Runs Celery tasks in supervised child processes.",
        discussion: """
            With no broker configured everything works from one SQLite file under $XDG_STATE_HOME/coppice. Settings come from flags, \
            then the environment (COPPICE_BROKER_URL, CELERY_BROKER, REDIS_HOST, …), then the settings file (--config, or COPPICE_CONFIG).
            """,
        version: "coppice \(version)",
        subcommands: [
            WorkerCommand.self, CallCommand.self, ResultCommand.self, RevokeCommand.self, StatusCommand.self, ReloadCommand.self,
            QuietCommand.self, QueuesCommand.self, PurgeCommand.self, DeadCommand.self, TuneCommand.self,
        ])

    static func main() {
        let arguments = Array(CommandLine.arguments.dropFirst())
        // Whatever the command, and before anything else.
        CurrentProcess.hidePasswordsInArguments()
        do {
            let line = try CommandFailure.reporting { try CeleryCommandLine(arguments) }
            for warning in line.warnings { StandardError.write("coppice: \(TerminalText.safe(warning))") }
            main(line.arguments)
        } catch {
            exit(withError: error)
        }
    }
}
