import ArgumentParser

struct QueuesCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "queues", abstract: "Look at queues, and move messages between them.",
        subcommands: [QueuesListCommand.self, QueuesMoveCommand.self], defaultSubcommand: QueuesListCommand.self)
}
