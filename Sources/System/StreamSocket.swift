import CLinux
import CoppiceShared
import Glibc

/// A non-blocking stream connection with a buffer for what can't be written yet.
public final class StreamSocket: ByteStream {
    private let descriptor: Descriptor
    private var out = ByteQueue()
    public private(set) var isConnected = false

    public let serial = PollInterest.newSerial()

    public var raw: Int32 { descriptor.raw }

    /// Begins to connect. `finishConnecting` when the socket is writable.
    public init(connectingTo address: SocketAddress) throws(SystemError) {
        let raw = socket(address.family, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue) | Int32(SOCK_NONBLOCK.rawValue), 0)
        guard raw >= 0 else { throw SystemError("socket") }
        descriptor = Descriptor(owning: raw)
        if address.family != AF_UNIX {
            var on: Int32 = 1
            setsockopt(raw, Int32(IPPROTO_TCP), TCP_NODELAY, &on, socklen_t(MemoryLayout<Int32>.size))
        }
        let result = address.bytes.withUnsafeBytes { buffer in
            // The bytes are a sockaddr of the family, copied into the buffer whole.
            connect(raw, buffer.baseAddress?.assumingMemoryBound(to: sockaddr.self), socklen_t(buffer.count))
        }
        if result == 0 {
            isConnected = true
        } else if errno != EINPROGRESS {
            throw SystemError("connect")
        }
    }

    /// To be called when the socket is writable for the first time.
    public func finishConnecting() throws(SystemError) {
        var failure: Int32 = 0
        var size = socklen_t(MemoryLayout<Int32>.size)
        getsockopt(raw, SOL_SOCKET, SO_ERROR, &failure, &size)
        guard failure == 0 else { throw SystemError("connect", code: failure) }
        isConnected = true
    }

    /// Whether bytes wait for the peer to read.
    public var hasBacklog: Bool { !out.isEmpty }

    /// How many bytes wait for the peer to read.
    public var backlog: Int { out.count }

    /// Queues bytes; `flush` sends them.
    public func enqueue(_ append: (inout [UInt8]) -> Void) { out.append(append) }

    /// Sends what the kernel takes.
    public func flush() throws(SystemError) {
        while isConnected, hasBacklog {
            let count = try descriptor.write(out.waiting)
            if count == 0 { return }
            out.consume(count)
        }
    }

    public func read(upTo count: Int = 1 << 16) throws(SystemError) -> Descriptor.ReadResult { try descriptor.read(upTo: count) }

    public func close() { descriptor.close() }
}
