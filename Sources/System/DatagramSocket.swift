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
    public func send(_ bytes: [UInt8]) -> Bool { offer(bytes) == .taken }

    public enum Answer {
        case taken
        /// The receiver is not there, or does not read.
        case notNow
        /// More than this kernel sends in one piece (`net.core.wmem_default`).
        case tooLarge
    }

    /// As `send`, for those who keep what is not taken.
    public func offer(_ bytes: [UInt8]) -> Answer {
        let sent = bytes.withUnsafeBytes { datagram in
            address.bytes.withUnsafeBytes { buffer in
                // The bytes are a sockaddr of the family, copied into the buffer whole.
                sendto(
                    descriptor.raw, datagram.baseAddress, datagram.count, Int32(MSG_NOSIGNAL),
                    buffer.baseAddress?.assumingMemoryBound(to: sockaddr.self), socklen_t(buffer.count))
            }
        }
        if sent == bytes.count { return .taken }
        return sent < 0 && errno == EMSGSIZE ? .tooLarge : .notNow
    }
}
