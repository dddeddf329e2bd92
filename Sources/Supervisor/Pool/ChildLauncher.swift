import CoppiceShared
import CoppiceSystem
import Glibc

/// Starts children: from what the node was told to a process with its pipes.
struct ChildLauncher {
    /// Counts the launchers of a pool's life: a reload replaces children of another generation.
    let generation: Int
    /// The worker executable: the file that it was when this was made, whatever stands at its path by now.
    let program: ProgramFile
    /// `NAME=value` entries.
    let environment: [String]
    /// What the master itself was started with.
    let descriptorLimit: DescriptorLimit
    /// What a child is told of the node in its hello.
    let settings: JSONObject
    /// Seconds in which a child must say ready.
    let startTimeout: Double
    /// How many tasks a child may be given.
    let mostTaken: Int
    let sandbox: Sandbox

    init(_ options: SupervisorOptions, _ live: LiveOptions, generation: Int, descriptorLimit: DescriptorLimit, sandbox: Sandbox) {
        self.generation = generation
        program = ProgramFile(path: live.workerPath)
        environment = sandbox.environment(
            ChildEnvironment(
                parent: CurrentProcess.environment, names: live.childEnvironment, timeZone: options.timeZone,
                backtraces: live.backtraces
            ).entries)
        self.descriptorLimit = descriptorLimit
        self.sandbox = sandbox
        startTimeout = live.startTimeout
        mostTaken = live.recycling.tasks ?? .max
        var settings = JSONObject()
        settings.append("max_retries", .int(live.maximumRetries))
        if let timeZone = options.timeZone { settings.append("timezone", .string(timeZone)) }
        if live.extendsResults { settings.append("wants_calls", true) }
        settings.append("marks_output", true)
        settings.append("wants_runtimes", true)
        settings.append("canvas", live.refusesCanvas ? "refuse" : "report")
        self.settings = settings
    }

    struct Launched {
        let generation: Int
        let enclosure: Enclosure
        let process: ChildProcess
        let channel: ChildChannel
        let outputs: [ChildOutput]
    }

    /// - Parameter slot: the number that its log lines and its cgroup have.
    /// - Throws: what execve said (missing, not executable, wrong format) or what the kernel did (no more processes, descriptors, memory).
    func launch(slot: Int) throws(SystemError) -> Launched {
        let null = try Descriptor.open("/dev/null", flags: O_RDWR)
        let down = try Descriptor.pipe()
        let up = try Descriptor.pipe()
        let output = try Descriptor.pipe()
        let errors = try Descriptor.pipe()
        for end in [down.write, up.read, output.read, errors.read] { try end.setNonBlocking() }
        sandbox.hand(over: [output.write, errors.write])
        let enclosure = try sandbox.enclose(slot: slot)
        let process: ChildProcess
        do {
            let displaced = program.displaced
            var descriptors = [null, output.write, errors.write, down.read, up.write]
            let arguments = try sandbox.arguments(
                for: program.path, standingAt: displaced == nil ? nil : descriptors.count, in: enclosure, files: descriptorLimit)
            if let displaced { descriptors.append(displaced) }
            let variables = enclosure.folder.map { environment + ["TMPDIR=\($0)"] } ?? environment
            process = try ChildProcess.spawn(
                path: arguments[0], arguments: arguments, environment: variables,
                descriptors: .init(descriptors), cgroup: ChildProcess.canStartInCgroup ? enclosure.group : nil)
            // With others the trampoline has done it: of a child of another user the master can't without CAP_SYS_RESOURCE.
            if arguments.count == 1 { process.resetDescriptorLimit(descriptorLimit) }
        } catch {
            _ = sandbox.leave(enclosure)
            throw error
        }
        sandbox.started(process)
        return Launched(
            generation: generation, enclosure: enclosure, process: process,
            channel: ChildChannel(down: down.write, up: up.read),
            outputs: [ChildOutput(output.read, .standardOutput), ChildOutput(errors.read, .standardError)])
    }
}
