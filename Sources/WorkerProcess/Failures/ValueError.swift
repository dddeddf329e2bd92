import CoppiceShared

/// Python's ValueError: an argument of the right type has a value that won't do.
public struct ValueError: PythonException, Equatable, CustomStringConvertible {
    public let message: String
    private let location: SourceLocation

    public init(_ message: String, file: StaticString = #fileID, line: UInt = #line) {
        self.message = message
        location = SourceLocation(file: file, line: line)
    }

    public var exceptionArguments: [JSONValue] { [.string(message)] }
    public var exceptionLocation: SourceLocation? { location }
    public var description: String { message }
}
