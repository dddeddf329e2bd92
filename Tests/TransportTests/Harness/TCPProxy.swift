import CoppiceShared
import CoppiceSystem
import Glibc

/// Stands between a client and a server on loopback, on the test's own stage: forwards, or swallows, or bends what the server says.
final class TCPProxy: Pollable {
    enum Failure: Error { case noListener }

    private final class Pair {
        let client: Descriptor
        let server: Descriptor
        /// What the client has said and the server is not told yet.
        var held: [UInt8]?
        init(client: Descriptor, server: Descriptor) {
            self.client = client
            self.server = server
        }
    }

    let port: UInt16
    private let listener: Descriptor
    private let target: UInt16
    private var pairs: [Pair] = []
    /// Sockets stay open, new connections are taken, and nothing is forwarded.
    var isFrozen = false
    /// Is given each piece that the server says and may change it.
    var bend: ([UInt8]) -> [UInt8] = { $0 }
    /// Is given each piece that a client says; when it says yes, this client is not forwarded any more, until `release`.
    var holds: ([UInt8]) -> Bool = { _ in false }
    /// Bytes that the server has said so far.
    private(set) var forwarded = 0

    init(to target: UInt16) throws {
        self.target = target
        listener = Descriptor(owning: socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0))
        var address = TCPProxy.loopback(0)
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let raw = listener.raw
        let failure = withUnsafeMutablePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { bind(raw, $0, length) | listen(raw, 16) | getsockname(raw, $0, &length) }
        }
        guard failure == 0 else { throw Failure.noListener }
        try listener.setNonBlocking()
        port = UInt16(bigEndian: address.sin_port)
    }

    var deadline: MonotonicTime? { nil }
    func expired(now: MonotonicTime) {}

    var interests: [PollInterest] {
        var interests = [PollInterest(descriptor: listener.raw, events: .read)]
        guard !isFrozen else { return interests }
        for pair in pairs {
            if pair.held == nil { interests.append(PollInterest(descriptor: pair.client.raw, events: .read)) }
            interests.append(PollInterest(descriptor: pair.server.raw, events: .read))
        }
        return interests
    }

    func ready(_ descriptor: Int32, _ events: PollEvents, now: MonotonicTime) {
        if descriptor == listener.raw { return accept() }
        guard let pair = pairs.first(where: { $0.client.raw == descriptor || $0.server.raw == descriptor }) else { return }
        let isServer = pair.server.raw == descriptor
        guard case .bytes(let bytes) = try? (isServer ? pair.server : pair.client).read(upTo: 1 << 16) else { return end(pair) }
        if isServer { forwarded += bytes.count }
        if !isServer, holds(bytes) {
            pair.held = bytes
            return
        }
        do {
            // Both ends are blocking, and read by somebody.
            try Descriptor.write(all: isServer ? bend(bytes) : bytes, to: (isServer ? pair.client : pair.server).raw)
        } catch {
            end(pair)
        }
    }

    /// Whether a client is being held.
    var isHolding: Bool { pairs.contains { $0.held != nil } }

    /// What was held goes on, and nothing is held any more.
    func release() throws {
        holds = { _ in false }
        for pair in pairs {
            guard let held = pair.held else { continue }
            pair.held = nil
            try Descriptor.write(all: held, to: pair.server.raw)
        }
    }

    private func end(_ pair: Pair) {
        pair.client.close()
        pair.server.close()
        pairs.removeAll { $0 === pair }
    }

    private func accept() {
        let client = Descriptor(owning: Glibc.accept(listener.raw, nil, nil))
        let server = Descriptor(owning: socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0))
        var address = TCPProxy.loopback(target)
        let failure = withUnsafeMutablePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(server.raw, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        if failure == 0, client.raw >= 0 { pairs.append(Pair(client: client, server: server)) }
    }

    private static func loopback(_ port: UInt16) -> sockaddr_in {
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = port.bigEndian
        address.sin_addr = in_addr(s_addr: UInt32(0x7F00_0001).bigEndian)
        return address
    }
}
