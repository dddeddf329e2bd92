import Glibc

/// Sends datagrams to one address and never waits.
public final class DatagramSocket {
    private let descriptor: Descriptor
    private let address: SocketAddress

    public init(to address: SocketAddress) throws(SystemError) {
        let raw = socket(address.family, Int32(SOCK_DGRAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue) | Int32(SOCK_NONBLOCK.rawValue), 0)
        guard raw >= 0 else { throw SystemError("socket") }
        descriptor = Descriptor(owning: raw)
        self.address = address
    }

    /// Whether the receiver has been given the datagram: not if it is not there, or has no room because it does not read.
    public func send(_ bytes: [UInt8]) -> Bool {
        let sent = bytes.withUnsafeBytes { datagram in
            address.bytes.withUnsafeBytes { buffer in
                // The bytes are a sockaddr of the family, copied into the buffer whole.
                sendto(
                    descriptor.raw, datagram.baseAddress, datagram.count, Int32(MSG_NOSIGNAL),
                    buffer.baseAddress?.assumingMemoryBound(to: sockaddr.self), socklen_t(buffer.count))
            }
        }
        return sent == bytes.count
    }
}
