import CoppiceDial
import CoppiceShared

/// Where a Redis is and who we are there: one server, several of which one serves, or Sentinels that know it (celery-wire §2.9; its forms
/// are in docs/OPERATIONS.md).
public struct RedisURL: Equatable, Sendable, CustomStringConvertible {
    /// A server, or a Sentinel, and who we are there.
    public struct Server: Equatable, Sendable {
        public var endpoint: StreamEndpoint
        public var user: String?
        public var password: String?

        public init(endpoint: StreamEndpoint, user: String? = nil, password: String? = nil) {
            self.endpoint = endpoint
            self.user = user
            self.password = password
        }

        /// A password without a user is that of Redis' user "default".
        public static func == (one: Server, other: Server) -> Bool {
            one.endpoint == other.endpoint && one.password == other.password && one.userName == other.userName
        }

        private var userName: String? { user ?? (password == nil ? nil : Server.standardUser) }
        static let standardUser = "default"
    }

    /// The servers are Sentinels: they are asked for the master's address before each connection. `servers` has what the master wants
    /// to know; the Sentinels want `password`.
    public struct Sentinel: Equatable, Sendable {
        public var master: String
        public var password: String?

        public init(master: String, password: String? = nil) {
            self.master = master
            self.password = password
        }
    }

    /// Tried in turn. One at least.
    public var servers: [Server]
    public var sentinel: Sentinel?
    public var database: Int
    /// Before every key and channel (`global_keyprefix`).
    public var keyPrefix = ""
    /// Whether an underscore follows the prefix in a result's key even if the prefix ends in a sign.
    public var alwaysUnderscores = false
    public var layout = RedisQueueLayout()
    /// Seconds after which what a Python worker took and never settled is put back. Not below one.
    public var visibilityTimeout = RedisURL.standardVisibilityTimeout

    /// kombu's `visibility_timeout`, in seconds.
    public static let standardVisibilityTimeout = 3600

    /// Which server the next connection begins with; shared by all copies of this value.
    let cursor = FailoverCursor()

    public init(servers: [Server], database: Int = 0) {
        self.servers = servers
        self.database = database
    }

    public init(endpoint: StreamEndpoint.Place, user: String? = nil, password: String? = nil, database: Int = 0) {
        self.init(servers: [Server(endpoint: StreamEndpoint(endpoint), user: user, password: password)], database: database)
    }

    /// The same with this password where none is given. It goes with a user's name: a server whose users need no password takes it then, and
    /// refuses it without.
    public func completed(password: String) -> RedisURL {
        var url = self
        // One identity is enough for the master of all Sentinels.
        if sentinel != nil, servers.contains(where: { $0.password != nil }) { return url }
        for index in servers.indices where servers[index].password == nil {
            url.servers[index].user = servers[index].user ?? Server.standardUser
            url.servers[index].password = password
        }
        return url
    }

    public static func == (one: RedisURL, other: RedisURL) -> Bool {
        one.isSameServer(as: other) && one.database == other.database && one.keyPrefix == other.keyPrefix
            && one.alwaysUnderscores == other.alwaysUnderscores && one.layout == other.layout
            && one.visibilityTimeout == other.visibilityTimeout
    }

    /// Whether both mean the same server process, whatever the database: the same servers in the same order, or the same master of the
    /// same Sentinels.
    public func isSameServer(as other: RedisURL) -> Bool { servers == other.servers && sentinel == other.sentinel }

    /// Before a task's id in a result's key and channel. Celery's backend puts an underscore behind a prefix: up to Celery 5.4 always, from
    /// 5.5 on unless it ends in a sign. kombu's broker never does (celery-wire §4.1).
    public var resultPrefix: String {
        guard let last = keyPrefix.last else { return ResultKey.prefix }
        return keyPrefix + (!alwaysUnderscores && ":_-.".contains(last) ? "" : "_") + ResultKey.prefix
    }

    /// The URL without its passwords.
    public var description: String {
        var text = servers.map(describe).joined(separator: ";")
        var parameters: [String] = []
        if case .unix = servers.first?.endpoint.place { parameters.append("virtual_host=\(database)") }
        if let sentinel { parameters.append("master_name=\(sentinel.master)") }
        if !keyPrefix.isEmpty { parameters.append("global_keyprefix=\(keyPrefix)") }
        if alwaysUnderscores { parameters.append("global_keyprefix_underscore=always") }
        if !parameters.isEmpty { text += "?" + parameters.joined(separator: "&") }
        return text
    }

    private func describe(_ server: Server) -> String {
        // A user without a password may be a password that was put in the wrong place.
        let credentials = server.password != nil ? "\(server.user ?? ""):**@" : server.user != nil ? "**@" : ""
        switch server.endpoint.place {
        case .unix: return "redis+socket://\(credentials)\(server.endpoint)"
        case .tcp:
            let scheme = sentinel != nil ? "sentinel" : server.endpoint.tls != nil ? "rediss" : "redis"
            return "\(scheme)://\(credentials)\(server.endpoint)/\(database)"
        }
    }
}
