import CoppiceDial
import CoppiceShared
import CoppiceTLS

/// Where a RabbitMQ is and who we are there: one server, or several of which the next is tried when one is lost (celery-wire §3.6; the
/// forms are in docs/OPERATIONS.md).
public struct AMQPURL: Equatable, Sendable, CustomStringConvertible {
    public struct Server: Equatable, Sendable {
        public var endpoint: StreamEndpoint
        public var user: String
        public var password: String
        public var virtualHost: String

        public init(endpoint: StreamEndpoint, user: String = "guest", password: String = "guest", virtualHost: String = "/") {
            self.endpoint = endpoint
            self.user = user
            self.password = password
            self.virtualHost = virtualHost
        }
    }

    /// What is wrong with a URL; never quotes it, since it may hold a password.
    public struct Malformed: Error, CustomStringConvertible {
        public let description: String
    }

    /// Tried in turn. One at least.
    public var servers: [Server]
    /// Seconds after which a server that says nothing is taken for lost; 0: never.
    public var heartbeat: UInt16 = AMQPURL.standardHeartbeat

    /// Low enough that a silent connection is found and replaced within ten seconds.
    public static let standardHeartbeat: UInt16 = 8
    /// The schemes that are ours.
    public static let schemes = ["amqp", "amqps", "pyamqp", "librabbitmq"]

    /// Which server the next connection begins with; shared by all copies of this value.
    let cursor = FailoverCursor()

    /// One server, over TCP.
    public init(host: String, port: UInt16, user: String, password: String, virtualHost: String) {
        let endpoint = StreamEndpoint(.tcp(host: host, port: port), tls: nil)
        servers = [Server(endpoint: endpoint, user: user, password: password, virtualHost: virtualHost)]
    }

    /// One URL, or several with `;` between them; parameters hold for all of them, wherever they stand.
    public init(_ text: String) throws(Malformed) {
        servers = []
        var tls = TLSSettings()
        var hasTLSParameters = false
        for item in text.split(separator: ";", omittingEmptySubsequences: false) {
            var rest = item
            if let mark = rest.firstIndex(of: "?") {
                for parameter in rest[rest.index(after: mark)...].split(separator: "&") {
                    let sides = parameter.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
                    let value = try AMQPURL.decode(sides.count == 2 ? sides[1] : "")
                    if try take(sides[0], value, &tls) { hasTLSParameters = true }
                }
                rest = rest[..<mark]
            }
            servers.append(try AMQPURL.server(rest))
        }
        for index in servers.indices where servers[index].endpoint.tls != nil { servers[index].endpoint.tls = tls }
        guard !hasTLSParameters || servers.contains(where: { $0.endpoint.tls != nil }) else {
            throw Malformed(description: "the ssl_ parameters are for amqps://")
        }
    }

    /// - Returns: whether it was a parameter of TLS.
    private mutating func take(_ name: Substring, _ value: String, _ tls: inout TLSSettings) throws(Malformed) -> Bool {
        switch name {
        case "heartbeat":
            guard let seconds = UInt16(value) else { throw Malformed(description: "heartbeat is a number of seconds, from 0 to 65535") }
            heartbeat = seconds
        case "login_method":
            guard value.uppercased() == "PLAIN" else { throw Malformed(description: "login_method: only PLAIN is supported") }
        default:
            let isTLS: Bool
            do { isTLS = try tls.take(name, value) } catch { throw Malformed(description: error.description) }
            guard isTLS else {
                throw Malformed(
                    description:
                        "unknown parameter after '?': there are heartbeat, login_method, ssl_cert_reqs, ssl_ca_certs, ssl_certfile, "
                        + "ssl_keyfile, ssl_check_hostname")
            }
            return true
        }
        return false
    }

    /// `scheme://user:password@host:port/vhost`, or from the user on.
    private static func server(_ text: Substring) throws(Malformed) -> Server {
        var scheme: Substring = "amqp"
        var rest = text
        if let mark = text.firstRange(of: "://") {
            scheme = text[..<mark.lowerBound]
            rest = text[mark.upperBound...]
        }
        guard schemes.contains(String(scheme)) else {
            throw Malformed(description: "not a URL of RabbitMQ: it begins with amqp:// or amqps://")
        }
        var user = "guest"
        var password = "guest"
        if let at = rest.lastIndex(of: "@") {
            let parts = rest[..<at].split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
            rest = rest[rest.index(after: at)...]
            if let name = parts.first, !name.isEmpty { user = try decode(name) }
            if parts.count == 2 { password = try decode(parts[1]) }
        }
        let slash = rest.firstIndex(of: "/") ?? rest.endIndex
        let path = try decode(rest[slash...].dropFirst())
        let place = try place(rest[..<slash], port: scheme == "amqps" ? 5671 : 5672)
        return Server(
            endpoint: StreamEndpoint(place, tls: scheme == "amqps" ? TLSSettings() : nil), user: user, password: password,
            virtualHost: path.isEmpty ? "/" : path)
    }

    private static func place(_ text: Substring, port standard: UInt16) throws(Malformed) -> StreamEndpoint.Place {
        var host = text
        var port: Substring?
        if text.hasPrefix("["), let close = text.firstIndex(of: "]") {
            host = text[text.index(after: text.startIndex)..<close]
            let after = text[text.index(after: close)...]
            if !after.isEmpty { port = after.hasPrefix(":") ? after.dropFirst() : "" }
        } else if let colon = text.firstIndex(of: ":") {
            host = text[..<colon]
            port = text[text.index(after: colon)...]
        }
        let number = port.map { UInt16($0) ?? 0 } ?? standard
        guard number > 0 else {
            throw Malformed(description: "the port is not a number from 1 to 65535")
        }
        return .tcp(host: host.isEmpty ? "localhost" : try decode(host), port: number)
    }

    private static func decode(_ text: Substring) throws(Malformed) -> String {
        guard let decoded = PercentEncoding.decode(text) else {
            throw Malformed(description: "a '%' that is not followed by two hexadecimal digits; write '%25' for a '%' in a password")
        }
        return decoded
    }

    public static func == (one: AMQPURL, other: AMQPURL) -> Bool { one.servers == other.servers && one.heartbeat == other.heartbeat }

    /// The URL without its passwords.
    public var description: String {
        servers.map { server in
            let name = server.user == "guest" ? "" : "\(server.user):**@"
            return "\(server.endpoint.tls != nil ? "amqps" : "amqp")://\(name)\(server.endpoint)/\(server.virtualHost)"
        }.joined(separator: ";")
    }
}
