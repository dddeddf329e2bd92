import Glibc

/// Where a socket connects to: a sockaddr as the kernel wants it.
public struct SocketAddress: Hashable, Sendable, CustomStringConvertible {
    /// AF_INET, AF_INET6 or AF_UNIX.
    public let family: Int32
    /// The whole sockaddr, family included; its count is the length that connect(2) is given.
    public let bytes: [UInt8]

    public init(family: Int32, bytes: [UInt8]) {
        self.family = family
        self.bytes = bytes
    }

    /// A socket in the file system; nil where the path does not fit (107 bytes) or can't be a path.
    public static func unix(_ path: String) -> SocketAddress? {
        let name = Array(path.utf8)
        guard !name.isEmpty, name.count < MemoryLayout.size(ofValue: sockaddr_un().sun_path), !name.contains(0) else { return nil }
        let family = withUnsafeBytes(of: sa_family_t(AF_UNIX)) { Array($0) }
        return SocketAddress(family: AF_UNIX, bytes: family + name + [0])
    }

    /// A socket in the abstract namespace, which is in no file system; nil where the name does not fit.
    public static func abstract(_ name: String) -> SocketAddress? {
        let name = Array(name.utf8)
        guard !name.isEmpty, name.count < MemoryLayout.size(ofValue: sockaddr_un().sun_path) else { return nil }
        // The name is what follows the first zero, up to the address's length: no zero behind it.
        return SocketAddress(family: AF_UNIX, bytes: withUnsafeBytes(of: sa_family_t(AF_UNIX)) { Array($0) } + [0] + name)
    }

    /// The address of a host that is written as a number, IPv4 or IPv6 (with or without a zone); nil if it is a name.
    public static func numeric(host: String, port: UInt16) -> SocketAddress? {
        var hints = addrinfo()
        // With these flags getaddrinfo(3) only parses: it neither reads a file nor asks a server.
        hints.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV
        hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        var list: UnsafeMutablePointer<addrinfo>?
        guard getaddrinfo(host, String(port), &hints, &list) == 0, let list else { return nil }
        defer { freeaddrinfo(list) }
        guard let address = list.pointee.ai_addr else { return nil }
        // ai_addr points to ai_addrlen bytes until freeaddrinfo.
        let bytes = Array(UnsafeRawBufferPointer(start: address, count: Int(list.pointee.ai_addrlen)))
        return SocketAddress(family: list.pointee.ai_family, bytes: bytes)
    }

    /// `192.0.2.1:6379`, `[2001:db8::1]:6379`, or the path.
    public var description: String {
        if family == AF_UNIX { return String(decoding: bytes.dropFirst(MemoryLayout<sa_family_t>.size).prefix { $0 != 0 }, as: UTF8.self) }
        var host = [CChar](repeating: 0, count: Int(NI_MAXHOST))
        var port = [CChar](repeating: 0, count: Int(NI_MAXSERV))
        let failure = bytes.withUnsafeBytes { raw in
            // getnameinfo(3) checks the length against the family before it reads on.
            getnameinfo(
                raw.assumingMemoryBound(to: sockaddr.self).baseAddress, socklen_t(raw.count), &host, socklen_t(host.count), &port,
                socklen_t(port.count), NI_NUMERICHOST | NI_NUMERICSERV)
        }
        guard failure == 0 else { return "address family \(family)" }
        func text(_ buffer: [CChar]) -> String { String(decoding: buffer.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self) }
        return family == AF_INET6 ? "[\(text(host))]:\(text(port))" : "\(text(host)):\(text(port))"
    }
}
