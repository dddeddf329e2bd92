import ArgumentParser
import CoppiceClient
import CoppiceShared

struct StatusCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "status", abstract: "Show the nodes that are up, and how each of them is.",
        discussion: "Python workers answer, too. Exit codes: 0 somebody answered, 69 nobody did, or the broker is not reached.")

    @Option(name: [.short, .long], help: ArgumentHelp("Seconds to wait for answers.", valueName: "seconds"))
    var timeout = 1.0

    @OptionGroup var connection: ConnectionFlags

    func run() throws {
        try CommandFailure.reporting {
            let settings = try Settings(connection)
            guard timeout.isFinite, timeout > 0 else { throw CommandFailure("--timeout: not a number of seconds above 0", code: 2) }
            let client = Client(broker: settings.broker, results: settings.results)
            let nodes = try client.ask("ping", timeout: timeout).map(\.node).sorted()
            guard !nodes.isEmpty else {
                throw CommandFailure("no nodes replied within \(timeout) s", code: CommandFailure.unavailable)
            }
            // Nodes of another kind don't know this one, and say so.
            let told = Dictionary(
                try client.ask("coppice_status", of: nodes, timeout: timeout).map { ($0.node, $0.answer["ok"]?.string) },
                uniquingKeysWith: { first, _ in first })
            for node in nodes {
                print("->  \(TerminalText.safe(node)): OK")
                if let line = told[node] ?? nil { print("        \(TerminalText.safe(line))") }
            }
            print("\n\(nodes.count) node\(nodes.count == 1 ? "" : "s") online.")
        }
    }
}
