import ArgumentParser
import CoppiceClient
import CoppiceShared
import CoppiceTransport

struct QueuesListCommand: ParsableCommand {
    /// The version of `--json`.
    static let version = 1

    static let configuration = CommandConfiguration(
        commandName: "list", abstract: "Show how queues stand: all that the broker can name, or those that are given.",
        discussion: """
            WAITING can be taken, UNACKED has been taken and is not acknowledged, PARKED waits for its time with the broker. OLDEST is the \
            age of the message that is next; it is known of messages that Coppice sent, since Celery's do not say when they were. \
            '-' is what the broker does not tell. RabbitMQ names no queues: give them; it tells WAITING and CONSUMERS alone. A queue that \
            it does not have is an error, after the others are shown.
            """)

    @Argument(help: ArgumentHelp("Queues.", valueName: "queue"))
    var names: [String] = []

    @Flag(help: "Print JSON.")
    var json = false

    @OptionGroup var connection: ConnectionFlags

    func run() throws {
        try CommandFailure.reporting {
            let settings = try Settings(connection)
            for name in names { try QueueName.check(name, "queue") }
            let states = try Client(broker: settings.broker, results: settings.results).queues(names.isEmpty ? nil : names)
            print(json ? Self.json(states) : Self.table(states.filter { !$0.isMissing }))
            let missing = states.filter(\.isMissing).map(\.name)
            if !missing.isEmpty { throw CommandFailure("no such queue: \(missing.joined(separator: ", "))") }
        }
    }

    private static func table(_ states: [QueueState]) -> String {
        var table = TextTable(["QUEUE", "WAITING", "UNACKED", "PARKED", "OLDEST", "CONSUMERS"], numeric: [1, 2, 3, 4, 5])
        func cell(_ number: Int?) -> String { number.map { String($0) } ?? "-" }
        for state in states {
            table.append([
                TerminalText.safe(state.name), cell(state.waiting), cell(state.unacknowledged), cell(state.parked),
                state.oldest.map(age) ?? "-", cell(state.consumers),
            ])
        }
        return table.text
    }

    /// `42s`, `7m05s`, `3h12m`, `2d04h`.
    private static func age(_ seconds: Double) -> String {
        let whole = Int(min(seconds, 1e12))
        func pair(_ high: Int, _ highUnit: String, _ low: Int, _ lowUnit: String) -> String {
            "\(high)\(highUnit)\(low < 10 ? "0" : "")\(low)\(lowUnit)"
        }
        switch whole {
        case ..<60: return "\(whole)s"
        case ..<3600: return pair(whole / 60, "m", whole % 60, "s")
        case ..<86400: return pair(whole / 3600, "h", whole % 3600 / 60, "m")
        default: return pair(whole / 86400, "d", whole % 86400 / 3600, "h")
        }
    }

    private static func json(_ states: [QueueState]) -> String {
        func number(_ value: Int?) -> JSONValue { value.map { .int($0) } ?? nil }
        let list: [JSONValue] = states.map { state in
            [
                "name": .string(state.name), "waiting": .int(state.waiting), "unacknowledged": number(state.unacknowledged),
                "parked": number(state.parked), "oldest_seconds": state.oldest.map { .double($0) } ?? nil,
                "consumers": number(state.consumers), "missing": .bool(state.isMissing),
            ]
        }
        let root: JSONValue = ["v": .int(version), "queues": .array(list)]
        return root.text
    }
}
