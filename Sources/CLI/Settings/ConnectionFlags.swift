import ArgumentParser

/// The flags of every command that talks to a broker.
struct ConnectionFlags: ParsableArguments {
    @Option(
        name: [.short, .long],
        help: ArgumentHelp(
            """
            Broker URL: redis://[USER:PASSWORD@]HOST[:PORT]/DB, rediss://… (TLS), redis+socket:///PATH, \
            sentinel://HOST[:PORT]/DB?master_name=NAME, amqp://USER:PASSWORD@HOST[:PORT]/VHOST, amqps://… (TLS), sqlite:////PATH; lists \
            with ;.
            """, valueName: "url"))
    var broker: String?

    @Option(
        help: ArgumentHelp(
            """
            Result store URL; the broker's place if not given: redis://…, rediss://…, redis+socket://…, sentinel://…, sqlite:////PATH, or \
            with RabbitMQ rpc://.
            """, valueName: "url"))
    var resultBackend: String?

    @Option(help: ArgumentHelp("Settings file (YAML).", valueName: "path"))
    var config: String?
}
