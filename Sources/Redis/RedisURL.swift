import CoppiceShared

/// Where a Redis is and who we are there: `redis://user:password@host:port/database`, `redis+socket:///path?virtual_host=database`
/// (celery-wire §2.9).
public struct RedisURL: Equatable, Sendable, CustomStringConvertible {
    public enum Endpoint: Equatable, Sendable {
        case tcp(host: String, port: UInt16)
        case unix(path: String)
    }

    public var endpoint: Endpoint
    public var user: String?
    public var password: String?
    public var database: Int

    /// What is wrong with a URL; never quotes it, since it may hold a password.
    public struct Malformed: Error, CustomStringConvertible {
        public let description: String
    }

    public init(endpoint: Endpoint, user: String? = nil, password: String? = nil, database: Int = 0) {
        self.endpoint = endpoint
        self.user = user
        self.password = password
        self.database = database
    }

    public init(_ text: String) throws(Malformed) {
        guard !text.contains(";") else { throw Malformed(description: "a list of fail-over servers is not supported yet: name one server") }
        guard let colon = text.firstRange(of: "://") else { throw Malformed(description: "not a URL") }
        let scheme = text[..<colon.lowerBound]
        var rest = text[colon.upperBound...]
        var query: Substring = ""
        if let mark = rest.firstIndex(of: "?") {
            query = rest[rest.index(after: mark)...]
            rest = rest[..<mark]
        }
        user = nil
        password = nil
        if let at = rest.lastIndex(of: "@") {
            let credentials = rest[..<at]
            rest = rest[rest.index(after: at)...]
            let parts = credentials.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
            let name = try RedisURL.decode(parts.first ?? "")
            user = name.isEmpty ? nil : name
            if parts.count == 2 {
                let word = try RedisURL.decode(parts[1])
                password = word.isEmpty ? nil : word
            }
        }
        switch scheme {
        case "redis":
            let slash = rest.firstIndex(of: "/") ?? rest.endIndex
            endpoint = try RedisURL.tcp(rest[..<slash])
            let path = rest[slash...].dropFirst()
            database = path.isEmpty ? 0 : try RedisURL.database(path)
            guard query.isEmpty else { throw Malformed(description: "parameters after '?' are not supported for redis://") }
        case "redis+socket", "unix":
            guard rest.hasPrefix("/") else { throw Malformed(description: "a socket's path begins with '/': redis+socket:///path") }
            endpoint = .unix(path: try RedisURL.decode(rest))
            database = 0
            for item in query.split(separator: "&") {
                guard item.hasPrefix("virtual_host=") else {
                    throw Malformed(description: "unknown parameter after '?': only virtual_host")
                }
                database = try RedisURL.database(item.dropFirst("virtual_host=".count))
            }
        case "rediss", "sentinel": throw Malformed(description: "\(scheme):// is not supported yet: use redis:// or redis+socket://")
        // Quoted only if it can be a scheme: it might be credentials in the wrong place.
        case _ where scheme.utf8.allSatisfy { $0 | 0x20 >= UInt8(ascii: "a") && $0 | 0x20 <= UInt8(ascii: "z") || $0 == UInt8(ascii: "+") }:
            throw Malformed(description: "'\(scheme)' is not a scheme of Redis: use redis:// or redis+socket://")
        default: throw Malformed(description: "not a URL of Redis: it begins with redis:// or redis+socket://")
        }
    }

    /// The URL without its password.
    public var description: String {
        // A user without a password may be a password that was put in the wrong place.
        let credentials = password != nil ? "\(user ?? ""):**@" : user != nil ? "**@" : ""
        switch endpoint {
        case .tcp(let host, let port):
            return "redis://\(credentials)\(host.contains(":") ? "[\(host)]" : host):\(port)/\(database)"
        case .unix(let path): return "redis+socket://\(credentials)\(path)?virtual_host=\(database)"
        }
    }

    /// Whether both mean the same server process, whatever the database.
    public func isSameServer(as other: RedisURL) -> Bool {
        endpoint == other.endpoint && user == other.user && password == other.password
    }

    private static func tcp(_ text: Substring) throws(Malformed) -> Endpoint {
        var host = text
        var port: Substring = "6379"
        if text.hasPrefix("["), let close = text.firstIndex(of: "]") {
            host = text[text.index(after: text.startIndex)..<close]
            let after = text[text.index(after: close)...]
            if !after.isEmpty { port = after.hasPrefix(":") ? after.dropFirst() : "" }
        } else if let colon = text.firstIndex(of: ":") {
            // A second colon makes it no number: an address without brackets, or credentials whose '@' is missing.
            host = text[..<colon]
            port = text[text.index(after: colon)...]
        }
        guard let number = UInt16(port), number > 0 else { throw Malformed(description: "the port is not a number from 1 to 65535") }
        return .tcp(host: host.isEmpty ? "localhost" : String(host), port: number)
    }

    private static func database(_ text: Substring) throws(Malformed) -> Int {
        guard let number = Int(text), number >= 0 else {
            throw Malformed(description: "the database is not a number: redis://host:port/NUMBER")
        }
        return number
    }

    private static func decode(_ text: Substring) throws(Malformed) -> String {
        var out: [UInt8] = []
        var bytes = Array(text.utf8)[...]
        while let byte = bytes.popFirst() {
            guard byte == UInt8(ascii: "%") else {
                out.append(byte)
                continue
            }
            guard let high = bytes.popFirst().flatMap(JSONText.hexDigit), let low = bytes.popFirst().flatMap(JSONText.hexDigit) else {
                throw Malformed(description: "a '%' that is not followed by two hexadecimal digits; write '%25' for a '%' in a password")
            }
            out.append(high << 4 | low)
        }
        guard let decoded = String(validating: out, as: UTF8.self) else { throw Malformed(description: "not UTF-8") }
        return decoded
    }
}
