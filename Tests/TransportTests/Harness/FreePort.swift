import CoppiceSystem
import Glibc
import Synchronization

/// Ports of the loopback interface for servers of the tests' own. They are below those that the kernel gives to whoever connects
/// (ip_local_port_range), or one that is free now might be some connection's local end when its server comes to it.
enum FreePort {
    private static let range: ClosedRange<UInt16> = 10_000...32_000
    private static let given = Mutex<Set<UInt16>>([])

    /// One that nobody listens on, and that no other test of this process has.
    static func next() throws -> UInt16 {
        for _ in 0..<1000 {
            let port = UInt16.random(in: range)
            if try isFree(port), given.withLock({ $0.insert(port).inserted }) { return port }
        }
        throw DidNotCome(what: "a free port", seen: "none of a thousand")
    }

    private static func isFree(_ port: UInt16) throws -> Bool {
        let descriptor = Descriptor(owning: socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0))
        guard descriptor.raw >= 0, let address = SocketAddress.numeric(host: "127.0.0.1", port: port) else { throw SystemError("socket") }
        return address.bytes.withUnsafeBytes { bytes in
            bind(descriptor.raw, bytes.assumingMemoryBound(to: sockaddr.self).baseAddress, socklen_t(bytes.count)) == 0
        }
    }
}
