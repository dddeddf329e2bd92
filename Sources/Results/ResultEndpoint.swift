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

    public func open() -> any ResultStore {
        switch self {
        case .redis(let url): RedisResultStore(url)
        case .sqlite(let path): SQLiteResultStore(path: path)
        }
    }
}
