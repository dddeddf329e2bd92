import ArgumentParser

/// The flags of every command that talks to a broker.
struct ConnectionFlags: ParsableArguments {
    @Option(
        name: [.short, .long],
        help: ArgumentHelp(
            "Broker URL: redis://[:PASSWORD@]HOST[:PORT]/DB, redis+socket:///PATH, amqp://USER:PASSWORD@HOST[:PORT]/VHOST, sqlite:////PATH.",
            valueName: "url"))
    var broker: String?

    @Option(help: ArgumentHelp("Result store URL; the broker's place if not given.", valueName: "url"))
    var resultBackend: String?

    @Option(help: ArgumentHelp("Settings file (YAML).", valueName: "path"))
    var config: String?
}
