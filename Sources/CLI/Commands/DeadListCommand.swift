import ArgumentParser
import CoppiceClient
import CoppiceShared
import CoppiceTransport

struct DeadListCommand: ParsableCommand {
    /// The version of `--json`.
    static let version = 1

    /// Characters of a cell, and of the reason, that are shown; `dead show` and `--json` have more.
    private static let mostOfCell = 64
    private static let mostOfReason = 200

    static let configuration = CommandConfiguration(
        commandName: "list", abstract: "Show the newest records, newest first.",
        discussion: "A record outlives its message: '-' under MESSAGE says that this has made room for newer ones.")

    @Option(parsing: .unconditional, help: ArgumentHelp("At most so many.", valueName: "n"))
    var limit = 100

    @Flag(help: "Print JSON.")
    var json = false

    @OptionGroup var connection: ConnectionFlags

    func run() throws {
        try CommandFailure.reporting {
            let settings = try Settings(connection)
            guard (1...1_000_000).contains(limit) else {
                throw CommandFailure("--limit: \(limit) is not a number from 1 to 1000000", code: 2)
            }
            let client = Client(broker: settings.broker, results: settings.results, ledger: try settings.ledger())
            let letters = try client.deadLetters(upTo: limit)
            print(json ? Self.json(letters) : Self.table(letters))
        }
    }

    private static func table(_ letters: [DeadLetter]) -> String {
        var table = TextTable(["ID", "AT", "QUEUE", "TASK ID", "MESSAGE", "REASON"], numeric: [])
        for letter in letters {
            table.append([
                TerminalText.safe(letter.id), letter.at.map { String(ISO8601.format($0).prefix(19)) } ?? "-",
                TerminalText.safe(letter.queue, limit: mostOfCell), letter.taskID.map { TerminalText.safe($0, limit: mostOfCell) } ?? "-",
                letter.hasMessage ? "kept" : "-", TerminalText.safe(letter.reason, limit: mostOfReason),
            ])
        }
        return table.text
    }

    private static func json(_ letters: [DeadLetter]) -> String {
        let list: [JSONValue] = letters.map { letter in
            var object: JSONObject = [
                "id": .string(letter.id), "reason": .string(letter.reason), "queue": .string(letter.queue),
                "at": letter.at.map { .string(ISO8601.format($0)) } ?? nil, "task_id": letter.taskID.map { .string($0) } ?? nil,
                "has_message": .bool(letter.hasMessage),
            ]
            for (key, value) in letter.further.members { object.append(key, value) }
            return .object(object)
        }
        let root: JSONValue = ["v": .int(version), "dead": .array(list)]
        return root.text
    }
}
