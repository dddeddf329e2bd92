import ArgumentParser
import CoppiceSupervisor

/// When children are replaced although nothing is wrong with them.
struct RecyclingFlags: ParsableArguments {
    @Option(parsing: .unconditional, help: ArgumentHelp("The most tasks that a child runs before it is replaced.", valueName: "n"))
    var maxTasksPerChild: Int?

    @Option(
        parsing: .unconditional,
        help: ArgumentHelp("KiB of resident memory; a child that holds more when a task ends is replaced.", valueName: "kib"))
    var maxMemoryPerChild: Int?

    @Flag(help: "A task in whose course its child exceeds --max-memory-per-child is killed.")
    var maxMemoryKills = false

    func options(_ worker: WorkerLookup) throws -> RecyclingOptions {
        var options = RecyclingOptions()
        options.tasks = try worker.integer(maxTasksPerChild, "max-tasks-per-child", 1...1_000_000_000)
        options.memory = try worker.integer(maxMemoryPerChild, "max-memory-per-child", 1...1_000_000_000).map { $0 << 10 }
        options.killsOverMemory = try worker.isOn(maxMemoryKills, "max-memory-kills")
        guard !options.killsOverMemory || options.memory != nil else {
            throw CommandFailure("--max-memory-kills: --max-memory-per-child says how much is too much", code: 2)
        }
        return options
    }
}
