import ArgumentParser
import CoppiceSupervisor
import CoppiceSystem

/// What children may use and do.
struct SandboxFlags: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "Whether each child has a cgroup: auto, where systemd delegates one; on, off; auto if not given.", valueName: "mode"))
    var childCgroup: String?

    @Option(help: ArgumentHelp("How much memory a child may hold: 512M, 2G.", valueName: "size"))
    var childMemory: String?

    @Option(
        parsing: .unconditional,
        help: ArgumentHelp("How much processor time a child may take, in percent of one processor.", valueName: "percent"))
    var childCpu: Int?

    @Option(parsing: .unconditional, help: ArgumentHelp("How many processes and threads a child may have.", valueName: "n"))
    var childPids: Int?

    @Option(help: ArgumentHelp("Whom children run as; takes root.", valueName: "name[:group]"))
    var childUser: String?

    @Flag(help: "No program that a child starts gains rights.")
    var childNoNewPrivs = false

    @Flag(help: "A folder for temporary files for each child, removed with it.")
    var childPrivateTmp = false

    @Option(
        parsing: .unconditional,
        help: ArgumentHelp(
            "How much sooner than the master the kernel kills a child when memory is short; 500 if not given.", valueName: "n"))
    var childOomScoreAdj: Int?

    /// - Parameter account: looks a user up.
    func options(_ worker: WorkerLookup, account: (String) throws(UnknownAccount) -> UserAccount?) throws -> SandboxOptions {
        var options = SandboxOptions()
        if let mode = try worker.text(childCgroup, "child-cgroup") {
            guard let groups = SandboxOptions.Groups(rawValue: mode) else {
                throw CommandFailure("--child-cgroup: '\(mode)' is none of auto, on, off", code: 2)
            }
            options.groups = groups
        }
        options.memory = try worker.bytes(childMemory, "child-memory")
        options.processor = try worker.integer(childCpu, "child-cpu", 1...100_000)
        options.processes = try worker.integer(childPids, "child-pids", 8...1_000_000)
        options.userName = try worker.text(childUser, "child-user")
        options.user = try options.userName.flatMap { name in
            do { return try account(name) } catch { throw CommandFailure("--child-user: \(error)", code: 2) }
        }
        options.forbidsNewPrivileges = try worker.isOn(childNoNewPrivs, "child-no-new-privs")
        options.hasPrivateFolder = try worker.isOn(childPrivateTmp, "child-private-tmp")
        options.oomScoreAdjustment = try worker.integer(childOomScoreAdj, "child-oom-score-adj", 0...1000) ?? options.oomScoreAdjustment
        return options
    }
}
