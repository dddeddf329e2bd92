/// A place in the worker's source, for tracebacks.
public struct SourceLocation: Equatable, Sendable {
    public var file: StaticString
    public var line: UInt

    public init(file: StaticString, line: UInt) {
        self.file = file
        self.line = line
    }

    public static func == (a: SourceLocation, b: SourceLocation) -> Bool {
        a.line == b.line && a.file.description == b.file.description
    }
}
