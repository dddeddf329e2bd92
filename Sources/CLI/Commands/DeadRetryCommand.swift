import ArgumentParser
import CoppiceClient

struct DeadRetryCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "retry", abstract: "Put messages back to work.",
        discussion: """
            Each goes to the end of the queue that it was taken from, with its priority, and its record is removed in the same step. Its task's \
            deaths are forgotten. On RabbitMQ the message is sent first and the record removed then; who is killed in between finds both, \
            and may put it back once more: it does not run twice. With --all what has no message any more is passed over. \
            A revoked task stays revoked. Exit codes: 0, 1 one of them could not be put back.
            """)

    @OptionGroup var selection: DeadSelection

    @Option(help: ArgumentHelp("Into this queue instead.", valueName: "name"))
    var toQueue: String?

    @Flag(help: "Print JSON.")
    var json = false

    @OptionGroup var connection: ConnectionFlags

    func run() throws {
        try CommandFailure.reporting {
            let settings = try Settings(connection)
            try selection.check()
            if let toQueue { try QueueName.check(toQueue, "--to-queue") }
            let client = Client(broker: settings.broker, results: settings.results, ledger: try settings.ledger())
            let ids = try selection.resolve(client, needsMessage: true)
            var report = DeadReport("put back", of: ids.count)
            var failure: ClientError?
            do throws(ClientError) { try client.retryDeadLetters(ids, to: toQueue) { report.settled($0, $1) } } catch { failure = error }
            try report.finish(json: json, failure)
        }
    }
}
