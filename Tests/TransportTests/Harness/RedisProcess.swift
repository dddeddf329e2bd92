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

    /// A port of the loopback interface that nobody has.
    static func freePort() throws -> UInt16 {
        let descriptor = Descriptor(owning: socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0))
        guard descriptor.raw >= 0, let address = SocketAddress.numeric(host: "127.0.0.1", port: 0) else { throw SystemError("socket") }
        var found = sockaddr_in()
        var size = socklen_t(MemoryLayout<sockaddr_in>.size)
        let result = address.bytes.withUnsafeBytes { bytes in
            bind(descriptor.raw, bytes.assumingMemoryBound(to: sockaddr.self).baseAddress, socklen_t(bytes.count))
        }
        let named = withUnsafeMutablePointer(to: &found) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { getsockname(descriptor.raw, $0, &size) }
        }
        guard result == 0, named == 0 else { throw SystemError("bind") }
        return UInt16(bigEndian: found.sin_port)
    }
}
