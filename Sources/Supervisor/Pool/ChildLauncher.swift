import CoppiceShared
import CoppiceSystem
import Glibc

/// Starts children: from what the node was told to a process with its pipes.
struct ChildLauncher {
    /// The worker executable.
    let path: String
    /// `NAME=value` entries.
    let environment: [String]
    /// What the master itself was started with.
    let descriptorLimit: DescriptorLimit
    let sandbox: Sandbox

    struct Launched {
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
        let enclosure = try sandbox.enclose(slot: slot)
        let process: ChildProcess
        do {
            let arguments = try sandbox.arguments(for: path)
            let variables = enclosure.folder.map { environment + ["TMPDIR=\($0)"] } ?? environment
            process = try ChildProcess.spawn(
                path: arguments[0], arguments: arguments, environment: variables,
                descriptors: .init([null, output.write, errors.write, down.read, up.write]), cgroup: enclosure.group)
        } catch {
            _ = sandbox.leave(enclosure)
            throw error
        }
        sandbox.started(process)
        process.resetDescriptorLimit(descriptorLimit)
        return Launched(
            enclosure: enclosure, process: process, channel: ChildChannel(down: down.write, up: up.read),
            outputs: [ChildOutput(output.read, .standardOutput), ChildOutput(errors.read, .standardError)])
    }
}
