import ArgumentParser

struct DeadCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "dead", abstract: "Look at the messages that could not be run.",
        subcommands: [DeadListCommand.self, DeadShowCommand.self], defaultSubcommand: DeadListCommand.self)
}
