import ArgumentParser
import CoppiceClient
import Glibc

struct QueuesMoveCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "move", abstract: "Move messages to the end of another queue.",
        discussion: """
            What waits goes before what is parked; each message keeps its priority and its time. It is done in batches, each in one step: \
            when this command is killed every message is in one of the two queues. On RabbitMQ, which has no such step, some may then be \
            in both, and parked messages stay where they are. A message's own words are not changed, so a Python \
            worker that sends it on, by a retry for example, sends it to the queue it was first sent to.
            """)

    @Argument(help: "The queue to take from.")
    var from: String

    @Argument(help: "The queue to put to.")
    var to: String

    @Option(parsing: .unconditional, help: ArgumentHelp("At most so many; what is there now if not given.", valueName: "n"))
    var count: Int?

    @OptionGroup var connection: ConnectionFlags

    func run() throws {
        try CommandFailure.reporting {
            let settings = try Settings(connection)
            try QueueName.check(from, "FROM")
            try QueueName.check(to, "TO")
            guard from != to else { throw CommandFailure("FROM and TO are the same queue", code: 2) }
            if let count, count < 1 { throw CommandFailure("--count: \(count) is not a number above 0", code: 2) }
            let client = Client(broker: settings.broker, results: settings.results)
            // What others send to it meanwhile is not chased.
            let state = try client.queues([from]).first
            if state?.isMissing == true { throw CommandFailure("no such queue: \(from)") }
            let present = (state?.waiting ?? 0) + (state?.parked ?? 0)
            let wanted = min(count ?? present, present)
            let isWatched = isatty(STDERR_FILENO) == 1
            let moved = try client.move(from: from, to: to, upTo: wanted) { moved in
                if isWatched { StandardError.put("\r\u{1B}[K\(moved) of \(wanted)") }
            }
            if isWatched { StandardError.put("\r\u{1B}[K") }
            print("\(moved) message\(moved == 1 ? "" : "s") moved from \(from) to \(to)")
        }
    }
}
