/// Why a task failed, in the terms in which Python's client rebuilds an exception.
public struct TaskFailure: Error, Equatable, Sendable {
    /// The exception's class: `ValueError`.
    public var type: String
    /// The module that the class is looked up in; where it can't be imported the client makes a class of that name.
    public var module: String
    /// The constructor's arguments.
    public var arguments: [JSONValue]
    public var traceback: String?

    public init(type: String, module: String, arguments: [JSONValue], traceback: String? = nil) {
        self.type = type
        self.module = module
        self.arguments = arguments
        self.traceback = traceback
    }

    /// How a message is called that can't be run as it is: its class, and the module that clients see.
    public static let unusableType = "MessageError"
    public static let unusableModule = "coppice.errors"

    /// Python's `repr`, near enough for logs and for Retry's text.
    public var summary: String {
        let texts = arguments.map { argument in
            if case .string(let text) = argument { PythonRepr.string(text) } else { argument.text }
        }
        return "\(type)(\(texts.joined(separator: ", ")))"
    }

    func write(to out: inout ByteWriter) {
        out.text(type)
        out.text(module)
        out.data(JSONValue.array(arguments).bytes)
        out.integer(UInt8(traceback == nil ? 0 : 1))
        if let traceback { out.text(traceback) }
    }

    init(from reader: inout ByteReader) throws(FrameError) {
        type = try reader.text()
        module = try reader.text()
        guard let arguments = (try? JSONValue(parsing: try reader.data()))?.array else { throw .badValue("exception arguments") }
        self.arguments = arguments
        traceback = try reader.integer(UInt8.self) == 0 ? nil : try reader.text()
    }
}
