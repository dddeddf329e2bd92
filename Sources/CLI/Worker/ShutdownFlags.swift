import ArgumentParser
import CoppiceSupervisor

/// How long a stop may take.
struct ShutdownFlags: ParsableArguments {
    static let names: Set<String> = ["shutdown-timeout", "soft-shutdown-timeout"]

    @Option(
        parsing: .unconditional,
        help: ArgumentHelp("Seconds after which a warm shutdown becomes a cold one; 3600 if not given.", valueName: "seconds"))
    var shutdownTimeout: Double?

    @Option(
        parsing: .unconditional,
        help: ArgumentHelp("Seconds that what runs is given before a cold shutdown kills it; none if not given.", valueName: "seconds"))
    var softShutdownTimeout: Double?

    func options(_ worker: WorkerLookup) throws -> ShutdownOptions {
        var options = ShutdownOptions()
        if let limit = try worker.seconds(shutdownTimeout, "shutdown-timeout") { options.warmLimit = limit }
        if let limit = try worker.seconds(softShutdownTimeout, "soft-shutdown-timeout") { options.softLimit = limit }
        return options
    }
}
