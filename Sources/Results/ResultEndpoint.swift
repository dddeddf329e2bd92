import CoppiceAMQP
import CoppiceRedis

/// Which result store, and where.
public enum ResultEndpoint: Equatable, Sendable, CustomStringConvertible {
    case redis(RedisURL)
    /// `rpc://`: to the caller's queue on this RabbitMQ.
    case rabbitmq(AMQPURL)
    case sqlite(path: String)

    public var description: String {
        switch self {
        case .redis(let url): url.description
        case .rabbitmq(let url): "rpc:// on \(url)"
        case .sqlite(let path): "sqlite:///\(path)"
        }
    }

    /// - Parameter expiry: seconds for which what is stored is kept.
    public func open(expiry: Int = ResultExpiry.standard) -> any ResultStore {
        switch self {
        case .redis(let url): RedisResultStore(url, expiry: expiry)
        case .rabbitmq(let url): AMQPResultStore(url, expiry: expiry)
        case .sqlite(let path): SQLiteResultStore(path: path, expiry: expiry)
        }
    }
}
