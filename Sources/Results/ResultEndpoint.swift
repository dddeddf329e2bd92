import CoppiceRedis

/// Which result store, and where.
public enum ResultEndpoint: Equatable, Sendable, CustomStringConvertible {
    case redis(RedisURL)
    case sqlite(path: String)

    public var description: String {
        switch self {
        case .redis(let url): url.description
        case .sqlite(let path): "sqlite:///\(path)"
        }
    }

    /// - Parameter expiry: seconds for which what is stored is kept.
    public func open(expiry: Int = ResultExpiry.standard) -> any ResultStore {
        switch self {
        case .redis(let url): RedisResultStore(url, expiry: expiry)
        case .sqlite(let path): SQLiteResultStore(path: path, expiry: expiry)
        }
    }
}
