import ArgumentParser
import CoppiceClient
import Glibc

struct DeadDropCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "drop", abstract: "Remove records and their messages, for good.",
        discussion: """
            --all asks first; where there is no terminal to ask on it wants --yes. Exit codes: 0, 1 one of them was not there.
            """)

    @OptionGroup var selection: DeadSelection

    @Flag(help: "Don't ask.")
    var yes = false

    @Flag(help: "Print JSON.")
    var json = false

    @OptionGroup var connection: ConnectionFlags

    func run() throws {
        try CommandFailure.reporting {
            let settings = try Settings(connection)
            try selection.check()
            if selection.all, !yes, isatty(STDIN_FILENO) != 1 {
                throw CommandFailure("no terminal to ask on: --yes removes without asking", code: 2)
            }
            let client = Client(broker: settings.broker, results: settings.results, ledger: try settings.ledger())
            let ids = try selection.resolve(client, needsMessage: false)
            if selection.all, !yes { try ask(ids.count) }
            var report = DeadReport("removed", of: ids.count)
            var failure: ClientError?
            do throws(ClientError) { try client.dropDeadLetters(ids) { report.settled($0, $1) } } catch { failure = error }
            try report.finish(json: json, failure)
        }
    }

    private func ask(_ count: Int) throws {
        StandardError.put("Remove \(count) record\(count == 1 ? "" : "s") for good, with what is kept of the messages? [y/N] ")
        guard let answer = readLine()?.lowercased(), answer == "y" || answer == "yes" else {
            throw CommandFailure("nothing was removed", code: 1)
        }
    }
}
