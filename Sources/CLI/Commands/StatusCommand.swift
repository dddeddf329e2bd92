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
            let names = try client.ask("ping", timeout: timeout).map(\.node).sorted()
            // Nodes of another kind don't know this one, and say so.
            let answers = names.isEmpty ? [] : try client.ask("coppice_status", of: names, timeout: timeout)
            let told = Dictionary(answers.filter { $0.answer["ok"] != nil }, uniquingKeysWith: { first, _ in first })
            if json {
                print(Self.json(names, told))
            } else if !names.isEmpty {
                print(Self.text(names, told))
            }
            guard !names.isEmpty else {
                throw CommandFailure("no nodes replied within \(timeout) s", code: CommandFailure.unavailable)
            }
        }
    }

    private static func text(_ names: [String], _ told: [String: JSONValue]) -> String {
        var lines: [String] = []
        for name in names {
            lines.append("->  \(TerminalText.safe(name)): OK")
            if let line = told[name]?["ok"]?.string { lines.append("        \(TerminalText.safe(line))") }
        }
        return lines.joined(separator: "\n") + "\n\n\(names.count) node\(names.count == 1 ? "" : "s") online."
    }

    private static func json(_ names: [String], _ told: [String: JSONValue]) -> String {
        let nodes: [JSONValue] = names.map { name in
            ["node": .string(name), "status": told[name]?["ok"] ?? nil, "run_seconds": told[name]?["run_seconds"] ?? nil]
        }
        let root: JSONValue = ["v": .int(version), "nodes": .array(nodes)]
        return root.text
    }
}
