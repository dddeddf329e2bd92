import CoppiceTLS

/// Where a server listens, and whether TLS is spoken there.
public struct StreamEndpoint: Hashable, Sendable, CustomStringConvertible {
    public enum Place: Hashable, Sendable {
        case tcp(host: String, port: UInt16)
        case unix(path: String)
    }

    public var place: Place
    /// nil: none. For a Unix socket always nil.
    public var tls: TLSSettings?

    public init(_ place: Place, tls: TLSSettings? = nil) {
        self.place = place
        self.tls = tls
    }

    /// `host:port`, `[2001:db8::1]:port`, or the path.
    public var description: String {
        switch place {
        case .tcp(let host, let port): "\(host.contains(":") ? "[\(host)]" : host):\(port)"
        case .unix(let path): path
        }
    }
}
