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
            if let countdown, !(countdown.isFinite && countdown >= 0) {
                throw CommandFailure("--countdown: not a number of seconds", code: 2)
            }
            if let exchange { try QueueName.check(exchange, "--exchange") }
            guard exchange != nil || routingKey == nil else { throw CommandFailure("--routing-key is for --exchange", code: 2) }
            guard (0...9).contains(priority) else { throw CommandFailure("--priority: a number from 0 to 9 is wanted", code: 2) }
            let id = Incarnation.randomUUID()
            var publication = TaskPublication.call(
                id: id, task: name, arguments: arguments, keywords: keywords,
                eta: countdown.flatMap { $0 > 0 ? WallTime.now.advanced(by: $0) : nil }, queue: queue,
                origin: "gen\(CurrentProcess.id)@\(CurrentProcess.hostName)")
            publication.sentAt = .now
            publication.priority = priority
            if let exchange {
                publication.exchange = exchange
                publication.routingKey = routingKey ?? queue
            }
            try Client(broker: settings.broker, results: settings.results).send(publication)
            print(id)
        }
    }
}
