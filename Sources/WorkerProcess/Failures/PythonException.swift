import CoppiceShared

/// An error that Python's client raises as a class of its choice rather than by its Swift name.
public protocol PythonException: Error {
    /// The class: `ValueError`.
    var exceptionType: String { get }
    /// Where the class is found. Python's own are in `builtins`.
    var exceptionModule: String { get }
    /// What its constructor is given.
    var exceptionArguments: [JSONValue] { get }
    /// Where the error was made, if it knows.
    var exceptionLocation: SourceLocation? { get }
}

extension PythonException {
    public var exceptionType: String { String(describing: Self.self) }
    public var exceptionModule: String { "builtins" }
    public var exceptionLocation: SourceLocation? { nil }
}
