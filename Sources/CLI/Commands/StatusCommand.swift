import ArgumentParser
import CoppiceClient
import CoppiceShared

struct StatusCommand: ParsableCommand {
    /// The version of `--json`.
    static let version = 1

    static let configuration = CommandConfiguration(
        commandName: "status", abstract: "Show the nodes that are up, and how each of them is.",
        discussion: "Python workers answer, too. Exit codes: 0 somebody answered, 69 nobody did, or the broker is not reached.")

    @Option(name: [.short, .long], help: ArgumentHelp("Seconds to wait for answers.", valueName: "seconds"))
    var timeout = 1.0

    @Flag(help: "Print JSON.")
    var json = false

    @OptionGroup var connection: ConnectionFlags

    func run() throws {
        try CommandFailure.reporting {
            let settings = try Settings(connection)
            guard timeout.isFinite, timeout > 0 else { throw CommandFailure("--timeout: not a number of seconds above 0", code: 2) }
            settings.tellRemarks()
            let client = Client(broker: settings.broker, results: settings.results)
            // Nodes of another kind don't know this one, and say so.
            let nodes = try client.ask("coppice_status", timeout: timeout).sorted { $0.node < $1.node }
            if json {
                print(Self.json(nodes))
            } else if !nodes.isEmpty {
                print(Self.text(nodes))
            }
            guard !nodes.isEmpty else {
                throw CommandFailure("no nodes replied within \(timeout) s", code: CommandFailure.unavailable)
            }
        }
    }

    private static func text(_ nodes: [(node: String, answer: JSONValue)]) -> String {
        var lines: [String] = []
        for (node, answer) in nodes {
            lines.append("->  \(TerminalText.safe(node)): OK")
            if let line = answer["ok"]?.string { lines.append("        \(TerminalText.safe(line))") }
        }
        lines.append("")
        let shared = Dictionary(grouping: nodes, by: \.node).filter { $0.value.count > 1 }.sorted { $0.key < $1.key }
        for (name, nodes) in shared { lines.append("\(TerminalText.safe(name)) is the name of \(nodes.count) nodes.") }
        return lines.joined(separator: "\n") + "\n\(nodes.count) node\(nodes.count == 1 ? "" : "s") online."
    }

    private static func json(_ nodes: [(node: String, answer: JSONValue)]) -> String {
        let nodes: [JSONValue] = nodes.map { node, answer in
            ["node": .string(node), "status": answer["ok"] ?? nil, "run_seconds": answer["run_seconds"] ?? nil]
        }
        let root: JSONValue = ["v": .int(version), "nodes": .array(nodes)]
        return root.text
    }
}
