import ArgumentParser
import CoppiceClient
import CoppiceSupervisor

struct RevokeCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "revoke", abstract: "Have a task not run, by workers that are up and by those that come later.",
        discussion: "With --terminate a task that runs already is ended: its child gets the signal, and SIGKILL two seconds later.")

    @Argument(help: "The task's id.")
    var id: String

    @Flag(help: "End the task if it runs.")
    var terminate = false

    @Option(help: ArgumentHelp("With --terminate: the signal; SIGTERM if not given.", valueName: "name"))
    var signal: String?

    @OptionGroup var connection: ConnectionFlags

    func run() throws {
        try CommandFailure.reporting {
            let settings = try Settings(connection)
            guard terminate || signal == nil else { throw CommandFailure("--signal is for --terminate", code: 2) }
            if let signal, SignalName.number(signal) == nil {
                throw CommandFailure("--signal: unknown signal '\(signal)'; a name like SIGKILL is wanted", code: 2)
            }
            let client = Client(broker: settings.broker, results: settings.results, ledger: try settings.ledger())
            try client.revoke(id, signal: terminate ? signal ?? "SIGTERM" : nil)
        }
    }
}
