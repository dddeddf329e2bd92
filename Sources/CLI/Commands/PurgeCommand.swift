import ArgumentParser
import CoppiceClient
import CoppiceShared
import Glibc

struct PurgeCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "purge", abstract: "Remove all messages from queues, for good.",
        discussion: """
            What waits goes, and what is parked until its time; what a node has in its hands stays. On RabbitMQ parked messages stay, \
            too: they wait in queues that all share. Asks first; where there is no terminal \
            to ask on it wants --yes.
            """)

    @Argument(help: ArgumentHelp("Queues.", valueName: "queue"))
    var queues: [String]

    @Flag(help: "Don't ask.")
    var yes = false

    @OptionGroup var connection: ConnectionFlags

    func run() throws {
        try CommandFailure.reporting {
            let settings = try Settings(connection)
            for name in queues { try QueueName.check(name, "queue") }
            let client = Client(broker: settings.broker, results: settings.results)
            if !yes { try ask(client) }
            for name in queues {
                let (waiting, parked) = try client.purge(name)
                let count = waiting + parked
                let later = parked > 0 ? " (\(parked) of them parked)" : ""
                print("\(count) message\(count == 1 ? "" : "s") purged from \(name)\(later)")
            }
        }
    }

    private func ask(_ client: Client) throws {
        guard isatty(STDIN_FILENO) == 1 else {
            throw CommandFailure("no terminal to ask on: --yes purges without asking", code: 2)
        }
        for state in try client.queues(queues) {
            StandardError.write(
                "\(TerminalText.safe(state.name)): \(state.waiting) waiting, \(state.parked.map { String($0) } ?? "?") parked")
        }
        StandardError.put("Remove them for good? [y/N] ")
        guard let answer = readLine()?.lowercased(), answer == "y" || answer == "yes" else {
            throw CommandFailure("nothing was removed", code: 1)
        }
    }
}
