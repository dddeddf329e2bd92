/// Why a text is not JSON, and where.
public struct JSONError: Error, Equatable, Sendable, CustomStringConvertible {
    public enum Reason: String, Sendable {
        case unexpectedEnd = "the text ends too early"
        case unexpectedByte = "unexpected character"
        case badEscape = "unknown escape in a string"
        case badNumber = "malformed number"
        case controlCharacter = "control character in a string"
        case badUTF8 = "a string that is not UTF-8"
        case tooDeep = "nested too deep"
    }

    public let reason: Reason
    /// Offset in bytes from the text's start.
    public let position: Int

    public init(_ reason: Reason, at position: Int) {
        self.reason = reason
        self.position = position
    }

    public var description: String { "\(reason.rawValue) at byte \(position)" }
}
