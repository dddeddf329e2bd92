/// A reply of Redis (RESP2).
public enum RedisValue: Equatable, Sendable {
    case null
    case status(String)
    case error(String)
    case integer(Int)
    case bulk([UInt8])
    case array([RedisValue])

    public var bytes: [UInt8]? { if case .bulk(let value) = self { value } else { nil } }
    public var integer: Int? { if case .integer(let value) = self { value } else { nil } }
    public var array: [RedisValue]? { if case .array(let value) = self { value } else { nil } }
    public var error: String? { if case .error(let value) = self { value } else { nil } }

    /// A bulk or status reply as text.
    public var text: String? {
        switch self {
        case .bulk(let bytes): String(decoding: bytes, as: UTF8.self)
        case .status(let text): text
        default: nil
        }
    }
}
