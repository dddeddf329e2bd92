import ArgumentParser
import CoppiceClient
import CoppiceShared
import CoppiceSystem
import CoppiceTransport

struct CallCommand: ParsableCommand {
    static let configuration = CommandConfiguration(commandName: "call", abstract: "Send a task and print its id.")

    @Argument(help: "The task's name.")
    var name: String

    @Option(name: [.short, .long], help: ArgumentHelp("Positional arguments: a JSON array.", valueName: "json"))
    var args = "[]"

    @Option(name: [.short, .long], help: ArgumentHelp("Keyword arguments: a JSON object.", valueName: "json"))
    var kwargs = "{}"

    @Option(help: ArgumentHelp("Run not before so many seconds from now.", valueName: "seconds"))
    var countdown: Double?

    @Option(help: ArgumentHelp("Run not before this time, like 2026-12-24T18:00:00+01:00; without an offset it is UTC.", valueName: "time"))
    var eta: String?

    @Option(
        help: ArgumentHelp(
            "Don't begin after this time, as for --eta, or so many seconds from now: it is revoked then.", valueName: "time or seconds"))
    var expires: String?

    @Option(name: [.customShort("Q"), .long], help: "The queue.")
    var queue = "celery"

    @Option(help: ArgumentHelp("Send to an exchange instead, which finds the queues that are bound to it.", valueName: "name"))
    var exchange: String?

    @Option(help: ArgumentHelp("With --exchange: the routing key; the queue's name if not given.", valueName: "key"))
    var routingKey: String?

    @Option(help: ArgumentHelp("0 to 9. On Redis and SQLite 0 comes first, on RabbitMQ 9.", valueName: "number"))
    var priority = 0

    @OptionGroup var connection: ConnectionFlags

    func run() throws {
        try CommandFailure.reporting {
            let settings = try Settings(connection)
            let arguments = try JSONFlag.array(args, "--args")
            let keywords = try JSONFlag.object(kwargs, "--kwargs")
            try QueueName.check(queue, "--queue")
            let (eta, expires) = try times()
            if let exchange { try QueueName.check(exchange, "--exchange") }
            guard exchange != nil || routingKey == nil else { throw CommandFailure("--routing-key is for --exchange", code: 2) }
            guard (0...9).contains(priority) else { throw CommandFailure("--priority: a number from 0 to 9 is wanted", code: 2) }
            let id = Incarnation.randomUUID()
            var publication = TaskPublication.call(
                id: id, task: name, arguments: arguments, keywords: keywords,
                eta: eta, expires: expires, queue: queue, origin: "gen\(CurrentProcess.id)@\(CurrentProcess.hostName)")
            publication.sentAt = .now
            publication.priority = priority
            if let exchange {
                publication.exchange = exchange
                publication.routingKey = routingKey ?? queue
            }
            settings.tellRemarks()
            try Client(broker: settings.broker, results: settings.results).send(publication)
            print(id)
        }
    }

    private func times() throws -> (eta: WallTime?, expires: WallTime?) {
        guard eta == nil || countdown == nil else { throw CommandFailure("either --eta or --countdown", code: 2) }
        if let countdown, !(countdown.isFinite && countdown >= 0) { throw CommandFailure("--countdown: not a number of seconds", code: 2) }
        let begin = try eta.map { try time($0, "--eta") } ?? countdown.flatMap { $0 > 0 ? WallTime.now.advanced(by: $0) : nil }
        guard let expires else { return (begin, nil) }
        guard let seconds = Double(expires) else { return (begin, try time(expires, "--expires")) }
        guard seconds.isFinite, seconds > 0 else { throw CommandFailure("--expires: not a number of seconds above 0", code: 2) }
        return (begin, WallTime.now.advanced(by: seconds))
    }

    private func time(_ text: String, _ flag: String) throws -> WallTime {
        guard let time = ISO8601.parse(text) else {
            throw CommandFailure("\(flag): '\(text)' is not a time like 2026-12-24T18:00:00+01:00", code: 2)
        }
        return time
    }
}
