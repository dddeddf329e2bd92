import CoppiceDial
import CoppiceShared
import CoppiceTLS

extension RedisURL {
    /// What is wrong with a URL; never quotes it, since it may hold a password.
    public struct Malformed: Error, CustomStringConvertible {
        public let description: String
    }

    /// One URL, or several with `;` between them. Parameters hold for all of them, wherever they stand.
    public init(_ text: String) throws(Malformed) {
        var parts: [Part] = []
        for item in text.split(separator: ";", omittingEmptySubsequences: false) { parts.append(try Part(item)) }
        guard let first = parts.first else { throw Malformed(description: "not a URL") }
        guard parts.allSatisfy({ ($0.scheme == "sentinel") == (first.scheme == "sentinel") }) else {
            throw Malformed(description: "either all of a list's servers are sentinel:// or none is")
        }
        var settings = Parameters()
        for part in parts { try settings.take(part) }
        guard parts.allSatisfy({ $0.database == nil || $0.database == settings.database }) else {
            throw Malformed(description: "the servers of a list have the same database number")
        }
        self.init(servers: parts.map { $0.server(settings.tls) }, database: settings.database ?? 0)
        keyPrefix = settings.keyPrefix
        alwaysUnderscores = settings.alwaysUnderscores
        layout = settings.layout
        visibilityTimeout = settings.visibilityTimeout
        if first.scheme == "sentinel" {
            guard let master = settings.master, !master.isEmpty else {
                throw Malformed(description: "sentinel:// wants the master's name: sentinel://HOST:26379/0?master_name=NAME")
            }
            sentinel = Sentinel(master: master, password: settings.sentinelPassword)
        } else if settings.master != nil || settings.sentinelPassword != nil {
            throw Malformed(description: "master_name and sentinel_password are for sentinel://")
        }
    }

    /// One URL of the list.
    private struct Part {
        var scheme: Substring
        var place: StreamEndpoint.Place
        var user: String?
        var password: String?
        var database: Int?
        var parameters: [(name: Substring, value: String)] = []

        init(_ text: Substring) throws(Malformed) {
            guard let colon = text.firstRange(of: "://") else { throw Malformed(description: "not a URL") }
            scheme = text[..<colon.lowerBound]
            var rest = text[colon.upperBound...]
            if let mark = rest.firstIndex(of: "?") {
                for item in rest[rest.index(after: mark)...].split(separator: "&") {
                    let sides = item.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
                    parameters.append((sides[0], try RedisURL.decode(sides.count == 2 ? sides[1] : "")))
                }
                rest = rest[..<mark]
            }
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
            case "redis", "rediss", "sentinel":
                let slash = rest.firstIndex(of: "/") ?? rest.endIndex
                place = try RedisURL.tcp(rest[..<slash], port: scheme == "sentinel" ? "26379" : "6379")
                let path = rest[slash...].dropFirst()
                database = path.isEmpty ? nil : try RedisURL.database(path)
            case "redis+socket", "unix":
                guard rest.hasPrefix("/") else { throw Malformed(description: "a socket's path begins with '/': redis+socket:///path") }
                place = .unix(path: try RedisURL.decode(rest))
            // Quoted only if it can be a scheme: it might be credentials in the wrong place.
            case _
            where scheme.utf8.allSatisfy { $0 | 0x20 >= UInt8(ascii: "a") && $0 | 0x20 <= UInt8(ascii: "z") || $0 == UInt8(ascii: "+") }:
                throw Malformed(
                    description: "'\(scheme)' is not a scheme of Redis: use redis://, rediss://, redis+socket:// or sentinel://")
            default: throw Malformed(description: "not a URL of Redis: it begins with redis://, rediss://, redis+socket:// or sentinel://")
            }
        }

        func server(_ tls: TLSSettings) -> Server {
            Server(endpoint: StreamEndpoint(place, tls: scheme == "rediss" ? tls : nil), user: user, password: password)
        }
    }

    /// What stands behind the `?` of the list's URLs.
    private struct Parameters {
        var tls = TLSSettings()
        var database: Int?
        var keyPrefix = ""
        var alwaysUnderscores = false
        var layout = RedisQueueLayout()
        var visibilityTimeout = RedisURL.standardVisibilityTimeout
        var master: String?
        var sentinelPassword: String?

        mutating func take(_ part: Part) throws(Malformed) {
            if database == nil { database = part.database }
            for (name, value) in part.parameters {
                switch name {
                case "global_keyprefix": keyPrefix = try RedisURL.keyPrefix(value)
                case "global_keyprefix_underscore":
                    guard value == "always" || value == "unless-sign" else {
                        throw Malformed(
                            description: "global_keyprefix_underscore is always (Celery up to 5.4) or unless-sign (Celery from 5.5 on)")
                    }
                    alwaysUnderscores = value == "always"
                case "sep":
                    guard !value.isEmpty else { throw Malformed(description: "sep is not empty: it stands between a queue and a step") }
                    layout.separator = value
                case "priority_steps": layout.steps = try RedisURL.steps(value)
                case "queue_order_strategy":
                    guard let order = RedisQueueLayout.Order(rawValue: value) else {
                        throw Malformed(description: "queue_order_strategy is round_robin, sorted or priority")
                    }
                    layout.order = order
                case "visibility_timeout":
                    guard let seconds = Int(value), (1...31_536_000).contains(seconds) else {
                        throw Malformed(description: "visibility_timeout is a number of seconds, from 1 to 31536000")
                    }
                    visibilityTimeout = seconds
                case "master_name": master = value
                case "sentinel_password": sentinelPassword = value
                case "virtual_host":
                    guard case .unix = part.place else { throw Malformed(description: "virtual_host is for redis+socket://") }
                    let number = try RedisURL.database(value)
                    guard database == nil || database == number else {
                        throw Malformed(description: "the servers of a list have the same database number")
                    }
                    database = number
                default:
                    let isTLS: Bool
                    do { isTLS = try tls.take(name, value) } catch { throw Malformed(description: error.description) }
                    guard isTLS else {
                        throw Malformed(
                            description: "unknown parameter after '?': there are ssl_cert_reqs, ssl_ca_certs, ssl_certfile, ssl_keyfile, "
                                + "ssl_check_hostname, global_keyprefix, global_keyprefix_underscore, sep, priority_steps, queue_order_strategy, "
                                + "visibility_timeout, virtual_host, master_name, sentinel_password")
                    }
                    guard part.scheme == "rediss" else { throw Malformed(description: "the ssl_ parameters are for rediss://") }
                }
            }
        }
    }

    /// A `global_keyprefix` that may be one.
    public static func keyPrefix(_ text: String) throws(Malformed) -> String {
        // It stands in scripts' records and in channels that are patterns to others.
        guard text.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F }), !text.contains(where: { "\"\\*?[]^".contains($0) }) else {
            throw Malformed(description: "a key prefix has letters, digits and signs, but none of \" \\ * ? [ ] ^")
        }
        return text
    }

    private static func tcp(_ text: Substring, port standard: Substring) throws(Malformed) -> StreamEndpoint.Place {
        var host = text
        var port = standard
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

    private static func steps(_ text: String) throws(Malformed) -> [Int] {
        let parts = text.split(separator: ",", omittingEmptySubsequences: false)
        let steps = parts.compactMap { UInt8($0).map(Int.init) }
        guard steps.count == parts.count, steps.first == 0, zip(steps, steps.dropFirst()).allSatisfy({ $0 < $1 }) else {
            throw Malformed(description: "priority_steps is a list of rising numbers from 0 on, none above 255: 0,3,6,9")
        }
        return steps
    }

    private static func database(_ text: some StringProtocol) throws(Malformed) -> Int {
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
