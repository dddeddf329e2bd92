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

    struct Launched {
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
            process: process, channel: ChildChannel(down: down.write, up: up.read),
            outputs: [ChildOutput(output.read, .standardOutput), ChildOutput(errors.read, .standardError)])
    }
}
