import CoppiceShared
import CoppiceSystem
import Glibc

/// A redis-server of the test's own, which keeps nothing; ended with the object.
final class RedisProcess {
    private let server: ChildProcess
    /// Kept open: the server goes on writing to it, less than a pipe holds.
    private let log: Descriptor

    /// Starts it with these arguments beside the usual ones, and waits until it accepts connections.
    ///
    /// - Parameter sentinelFile: the settings file of a Sentinel, which it then is.
    init(_ folder: TemporaryFolder, _ arguments: [String], sentinelFile: String? = nil) throws {
        let command =
            sentinelFile.map { ["env", "redis-server", $0, "--sentinel"] + arguments }
            ?? ["env", "redis-server", "--save", "", "--appendonly", "no", "--maxmemory-policy", "noeviction", "--dir", folder.path]
            + arguments
        let nothing = try Descriptor.open("/dev/null", flags: O_RDONLY)
        let log = try Descriptor.pipe()
        let environment = CurrentProcess.environment.filter { $0.hasPrefix("PATH=") }
        server = try ChildProcess.spawn(
            path: "/usr/bin/env", arguments: command, environment: environment, descriptors: .init([nothing, log.write, log.write]))
        log.write.close()
        // The last of the properties: from here on deinit ends the server, even if this fails.
        self.log = log.read
        let ready = sentinelFile == nil ? "eady to accept connections" : "+monitor"
        var said: [UInt8] = []
        while !String(decoding: said, as: UTF8.self).contains(ready) {
            let happened = try Poll.wait([PollInterest(descriptor: log.read.raw, events: .read)], until: MonotonicTime.now.advanced(by: 10))
            guard !happened.isEmpty, case .bytes(let bytes) = try log.read.read(upTo: 4096) else {
                throw DidNotCome(what: "redis-server", seen: String(decoding: said, as: UTF8.self))
            }
            said += bytes
        }
    }

    deinit { kill() }

    /// Ends it at once; harmless if it has ended.
    func kill() {
        server.signal(SIGKILL)
        _ = try? Poll.wait([PollInterest(descriptor: server.pidfd.raw, events: .read)], until: MonotonicTime.now.advanced(by: 5))
        _ = server.reap()
    }
}
