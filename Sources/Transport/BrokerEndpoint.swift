import CoppiceAMQP
import CoppiceRedis

/// Which broker, and where. Made from a URL; its description shows no password.
public enum BrokerEndpoint: Equatable, Sendable, CustomStringConvertible {
    case redis(RedisURL)
    case rabbitmq(AMQPURL)
    /// The path of the embedded broker's file.
    case sqlite(path: String)

    /// Why a URL is refused, and what to write instead.
    public struct Malformed: Error, CustomStringConvertible {
        public let description: String
        public init(_ description: String) { self.description = description }
    }

    /// - Parameter served: the URLs that may stand in this one's place; whoever wrote another is told of them.
    public init(url: String, served: String) throws(Malformed) {
        switch url.split(separator: ":", maxSplits: 1).first {
        case "sqlite": self = .sqlite(path: try BrokerEndpoint.sqlitePath(url))
        case "redis", "rediss", "redis+socket", "unix", "sentinel":
            do { self = .redis(try RedisURL(url)) } catch { throw Malformed(error.description) }
        case .some(let scheme) where AMQPURL.schemes.contains(String(scheme)):
            do { self = .rabbitmq(try AMQPURL(url)) } catch { throw Malformed(error.description) }
        default: throw Malformed("\(BrokerEndpoint.unknown(url)): use \(served)")
        }
    }

    /// Of a URL nothing but the scheme may be quoted, and only what can be nothing else: the rest may hold a password.
    private static func unknown(_ url: String) -> String {
        guard let end = url.firstRange(of: "://")?.lowerBound else { return "not a URL" }
        let scheme = url[..<end]
        let isScheme =
            !scheme.isEmpty && scheme.utf8.count <= 20
            && scheme.utf8.allSatisfy {
                ($0 | 0x20) >= UInt8(ascii: "a") && ($0 | 0x20) <= UInt8(ascii: "z") || $0 == UInt8(ascii: "+") || $0 == UInt8(ascii: "-")
            }
        return isScheme ? "unknown scheme '\(scheme)'" : "unknown scheme"
    }

    /// `sqlite:///PATH`, where PATH is absolute (`sqlite:////var/lib/…`) or relative, as SQLAlchemy has it.
    public static func sqlitePath(_ url: String) throws(Malformed) -> String {
        guard url.hasPrefix("sqlite:///"), url.count > "sqlite:///".count else {
            throw Malformed("write sqlite:///PATH, or sqlite:////PATH for an absolute one")
        }
        return String(url.dropFirst("sqlite:///".count))
    }

    public var description: String {
        switch self {
        case .redis(let url): url.description
        case .rabbitmq(let url): url.description
        case .sqlite(let path): "sqlite:///\(path)"
        }
    }

    /// Whether messages come by themselves, so that taking them costs nothing.
    public var givesUnasked: Bool { if case .rabbitmq = self { true } else { false } }

    public var priorityOrder: PriorityOrder {
        switch self {
        case .redis(let url): .lowestFirst(steps: url.layout.steps)
        case .sqlite: .kombu
        case .rabbitmq: .highestFirst
        }
    }

    /// A sender of its own connection.
    ///
    /// - Parameter creates: whether a missing file is made, for what must be there when somebody looks.
    public func openSender(creates: Bool = true) -> any MessageSender {
        switch self {
        case .redis(let url): RedisMessageSender(url)
        case .rabbitmq(let url): AMQPMessageSender(url)
        case .sqlite(let path): SQLiteMessageSender(path: path, creates: creates)
        }
    }

    /// An operator's hands, on a connection of their own.
    public func openOperations() -> any QueueOperations {
        switch self {
        case .redis(let url): RedisQueueOperations(url)
        case .rabbitmq(let url): AMQPQueueOperations(url)
        case .sqlite(let path): SQLiteQueueOperations(path: path)
        }
    }

    /// A caller of the remote control, with a connection of its own.
    public func openCaller() -> any ControlCaller {
        switch self {
        case .redis(let url): RedisControlCaller(url)
        case .rabbitmq(let url): AMQPControlCaller(url)
        case .sqlite(let path): SQLiteControlCaller(path: path)
        }
    }
}
