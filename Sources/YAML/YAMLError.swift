/// Why a text is not read as YAML. It never quotes the text, which may hold passwords.
public struct YAMLError: Error, Equatable, CustomStringConvertible {
    /// Where it was noticed, from 1.
    public let line: Int
    public let problem: String

    public var description: String { "line \(line): \(problem)" }
}
