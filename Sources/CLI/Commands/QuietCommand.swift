import ArgumentParser
import CoppiceClient
import CoppiceShared

struct QuietCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "quiet", abstract: "Have nodes take no more messages, and stay up.",
        discussion: """
            What runs is finished, what has not begun goes back to its queue. With --resume messages are taken again. On the node's own \
            machine the signals TSTP and CONT do the same. Exit codes: 0 each node that was named has done so, or one has where none \
            was named; 1 a node stops, and can't resume; 69 no answer, or the broker is not reached.
            """)

    @Option(name: [.customShort("n"), .long], help: ArgumentHelp("A node; may be repeated; all if not given.", valueName: "name"))
    var node: [String] = []

    @Flag(help: "Take messages again.")
    var resume = false

    @Option(name: [.short, .long], help: ArgumentHelp("Seconds to wait for answers.", valueName: "seconds"))
    var timeout = 1.0

    @OptionGroup var connection: ConnectionFlags

    func run() throws {
        try CommandFailure.reporting {
            let settings = try Settings(connection)
            guard timeout.isFinite, timeout > 0 else { throw CommandFailure("--timeout: not a number of seconds above 0", code: 2) }
            let client = Client(broker: settings.broker, results: settings.results)
            var arguments = JSONObject()
            if resume { arguments.append("resume", .bool(true)) }
            let replies = try client.ask("coppice_quiet", arguments, of: node.isEmpty ? nil : node, timeout: timeout)
            var heard: Set<String> = []
            var refused: [String] = []
            for reply in replies.sorted(by: { $0.node < $1.node }) {
                if reply.answer["v"] != nil, let reason = reply.answer["error"]?.string {
                    heard.insert(reply.node)
                    refused.append("\(reply.node): \(reason)")
                    continue
                }
                // Nodes of another kind don't know this, and say so.
                guard let answer = reply.answer["ok"]?.string else {
                    print("->  \(TerminalText.safe(reply.node)): does not know this request")
                    continue
                }
                heard.insert(reply.node)
                print("->  \(TerminalText.safe(reply.node)): \(TerminalText.safe(answer))")
            }
            let missing = node.filter { !heard.contains($0) }
            guard !heard.isEmpty, missing.isEmpty else {
                let who = missing.isEmpty ? "no nodes" : missing.joined(separator: ", ") + ": nothing"
                throw CommandFailure("\(who) replied within \(timeout) s", code: CommandFailure.unavailable)
            }
            guard refused.isEmpty else { throw CommandFailure(refused.joined(separator: "; ")) }
        }
    }
}
