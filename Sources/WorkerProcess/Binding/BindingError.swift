import CoppiceShared

/// Arguments that don't fit the parameters; Python's TypeError in Python's words.
struct BindingError: PythonException, Equatable, CustomStringConvertible {
    let description: String

    init(_ description: String) { self.description = description }

    var exceptionType: String { "TypeError" }
    var exceptionArguments: [JSONValue] { [.string(description)] }

    /// A value of the wrong type.
    ///
    /// - Parameter path: Where it stands, from the parameter's name on.
    init(_ function: String, _ path: [any CodingKey], wants type: Any.Type, got value: JSONValue) {
        self.init("\(function)() argument \(Self.text(path)) must be \(Self.python(type)), not \(Self.python(value))")
    }

    /// A value of the right type that won't do, as an enum's that has no such case.
    init(_ function: String, _ path: [any CodingKey], _ error: DecodingError) {
        let place = path.isEmpty ? "" : " argument \(Self.text(path))"
        switch error {
        case .dataCorrupted(let context), .keyNotFound(_, let context), .typeMismatch(_, let context), .valueNotFound(_, let context):
            self.init("\(function)()\(place): \(context.debugDescription)")
        @unknown default: self.init("\(function)()\(place): \(error)")
        }
    }

    /// `'items[2].name'`.
    static func text(_ path: [any CodingKey]) -> String {
        var out = ""
        for key in path {
            if let index = key.intValue {
                out += "[\(index)]"
            } else {
                out += out.isEmpty ? key.stringValue : ".\(key.stringValue)"
            }
        }
        return "'\(out)'"
    }

    /// Python's name of a type where it has one.
    private static func python(_ type: Any.Type) -> String {
        switch type {
        case is String.Type: "str"
        case is Bool.Type: "bool"
        case is Double.Type, is Float.Type: "float"
        case is any FixedWidthInteger.Type: "int"
        default: "\(type)"
        }
    }

    private static func python(_ value: JSONValue) -> String {
        switch value {
        case .null: "None"
        case .bool: "bool"
        case .int, .bigInt: "int"
        case .double: "float"
        case .string: "str"
        case .array: "list"
        case .object: "dict"
        }
    }
}
