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

    /// - Parameter expiry: seconds for which what is stored is kept; nil: nothing will be stored, and a missing file is not made.
    public func open(expiry: Int? = nil) -> any ResultStore {
        let kept = expiry ?? ResultExpiry.standard
        return switch self {
        case .redis(let url): RedisResultStore(url, expiry: kept)
        case .rabbitmq(let url): AMQPResultStore(url, expiry: kept)
        case .sqlite(let path): SQLiteResultStore(path: path, expiry: kept, creates: expiry != nil)
        }
    }
}
