import CoppiceSystem
import Glibc
import Testing

@Suite struct StreamSocketTests {
    /// A peer that reads steadily and never catches up costs what it is behind, not all that was ever sent.
    @Test func aPeerThatNeverCatchesUpCostsWhatItIsBehind() throws {
        let folder = try TemporaryFolder()
        let path = folder.file("s")
        let address = try #require(SocketAddress.unix(path))
        let listener = Descriptor(owning: socket(AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0))
        let isListening = address.bytes.withUnsafeBytes { buffer in
            // The bytes are a sockaddr of the family, copied into the buffer whole.
            bind(listener.raw, buffer.baseAddress?.assumingMemoryBound(to: sockaddr.self), socklen_t(buffer.count)) == 0
        }
        #expect(isListening && listen(listener.raw, 1) == 0)
        let socket = try StreamSocket(connectingTo: address)
        let peer = Descriptor(owning: accept(listener.raw, nil, nil))
        let portion = [UInt8](repeating: 7, count: 1 << 18)
        // More than the kernel takes.
        for _ in 0..<8 { socket.enqueue { $0 += portion } }
        try socket.flush()
        let before = try #require(ResidentMemory.of(getpid()))
        var sent = 0
        while sent < 400 << 20 {
            guard case .bytes(let bytes) = try peer.read(upTo: portion.count) else { break }
            sent += bytes.count
            socket.enqueue { $0.append(contentsOf: portion[..<bytes.count]) }
            try socket.flush()
            #expect(socket.hasBacklog)
        }
        let after = try #require(ResidentMemory.of(getpid()))
        // Other tests run beside this one.
        #expect(after - before < 200 << 20)
    }
}
