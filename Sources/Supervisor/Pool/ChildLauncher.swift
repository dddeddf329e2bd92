import CoppiceShared
import CoppiceSystem
import Glibc

/// Starts children: from what the node was told to a process with its pipes.
struct ChildLauncher {
    /// Counts the launchers of a pool's life: a reload replaces children of another generation.
    let generation: Int
    /// The worker executable.
    let path: String
    /// `NAME=value` entries.
    let environment: [String]
    /// What the master itself was started with.
    let descriptorLimit: DescriptorLimit
    /// What a child is told of the node in its hello.
    let settings: JSONObject

    init(_ options: SupervisorOptions, generation: Int, descriptorLimit: DescriptorLimit) {
        self.generation = generation
        path = options.workerPath
        environment =
            ChildEnvironment(
                parent: CurrentProcess.environment, names: options.childEnvironment, timeZone: options.timeZone,
                backtraces: options.backtraces
            ).entries
        self.descriptorLimit = descriptorLimit
        var settings = JSONObject()
        settings.append("max_retries", .int(options.maximumRetries))
        if let timeZone = options.timeZone { settings.append("timezone", .string(timeZone)) }
        if options.extendsResults { settings.append("wants_calls", true) }
        self.settings = settings
    }

    struct Launched {
        let generation: Int
        let process: ChildProcess
        let channel: ChildChannel
        let outputs: [ChildOutput]
    }

    /// - Throws: what execve said (missing, not executable, wrong format) or what the kernel did (no more processes, descriptors, memory).
    func launch() throws(SystemError) -> Launched {
        let null = try Descriptor.open("/dev/null", flags: O_RDWR)
        let down = try Descriptor.pipe()
        let up = try Descriptor.pipe()
        let output = try Descriptor.pipe()
        let errors = try Descriptor.pipe()
        for end in [down.write, up.read, output.read, errors.read] { try end.setNonBlocking() }
        let process = try ChildProcess.spawn(
            path: path, arguments: [path], environment: environment,
            descriptors: .init([null, output.write, errors.write, down.read, up.write]))
        process.resetDescriptorLimit(descriptorLimit)
        return Launched(
            generation: generation, process: process, channel: ChildChannel(down: down.write, up: up.read),
            outputs: [ChildOutput(output.read, .standardOutput), ChildOutput(errors.read, .standardError)])
    }
}
