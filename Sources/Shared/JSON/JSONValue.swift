/// A JSON value in Python's dialect: integers of any size, `NaN` and the infinities, members in the order of the text.
public enum JSONValue: Equatable, Sendable {
    case null
    case bool(Bool)
    case int(Int)
    /// An integer that does not fit into Int, as its digits.
    case bigInt(String)
    case double(Double)
    case string(String)
    case array([JSONValue])
    case object(JSONObject)

    /// Reads one whole text.
    public init(parsing bytes: [UInt8]) throws(JSONError) {
        var scanner = JSONScanner(bytes)
        self = try JSONValue.read(&scanner, depth: 0)
        try scanner.expectEnd()
    }

    /// Reads the next value. Recursive: the depth is capped as the scanner's is.
    public static func read(_ scanner: inout JSONScanner, depth: Int = 0) throws(JSONError) -> JSONValue {
        guard depth < JSONScanner.maximumDepth else { throw JSONError(.tooDeep, at: scanner.position) }
        switch try scanner.peekKind() {
        case .string: return .string(try scanner.stringValue() ?? "")
        case .object:
            var object = JSONObject()
            try scanner.eachMember { scanner, key throws(JSONError) in
                object.append(try JSONText.unescape(scanner.bytes, key), try read(&scanner, depth: depth + 1))
            }
            return .object(object)
        case .array:
            var array: [JSONValue] = []
            var first = true
            try scanner.beginArray()
            while try scanner.nextElement(first: first) {
                first = false
                array.append(try read(&scanner, depth: depth + 1))
            }
            return .array(array)
        case .number, .literal: return scalar(scanner.bytes, try scanner.skipValue())
        }
    }

    /// A number or literal whose grammar the scanner has checked.
    private static func scalar(_ bytes: [UInt8], _ range: Range<Int>) -> JSONValue {
        switch bytes[range.lowerBound] {
        case UInt8(ascii: "t"): return .bool(true)
        case UInt8(ascii: "f"): return .bool(false)
        case UInt8(ascii: "n"): return .null
        case UInt8(ascii: "N"): return .double(.nan)
        case UInt8(ascii: "I"): return .double(.infinity)
        default: break
        }
        if let int = JSONText.int(bytes, range) { return .int(int) }
        let digits = bytes[range]
        if digits.contains(UInt8(ascii: "I")) { return .double(-.infinity) }
        if digits.contains(where: { $0 == UInt8(ascii: ".") || $0 | 0x20 == UInt8(ascii: "e") }) {
            return .double(JSONText.double(bytes, range) ?? .nan)
        }
        return .bigInt(String(decoding: digits, as: UTF8.self))
    }

    /// Appends the value's text: Python's separators (`", "` and `": "`), ASCII only.
    public func write(to out: inout [UInt8]) {
        switch self {
        case .null: out.append(contentsOf: "null".utf8)
        case .bool(let value): out.append(contentsOf: (value ? "true" : "false").utf8)
        case .int(let value): DecimalDigits.append(value, to: &out)
        case .bigInt(let digits): out.append(contentsOf: digits.utf8)
        case .double(let value): JSONText.appendDouble(value, to: &out)
        case .string(let text): JSONText.appendString(text, to: &out)
        case .array(let elements):
            out.append(UInt8(ascii: "["))
            for (index, element) in elements.enumerated() {
                if index > 0 { out.append(contentsOf: ", ".utf8) }
                element.write(to: &out)
            }
            out.append(UInt8(ascii: "]"))
        case .object(let object):
            out.append(UInt8(ascii: "{"))
            for (index, member) in object.members.enumerated() {
                if index > 0 { out.append(contentsOf: ", ".utf8) }
                JSONText.appendString(member.key, to: &out)
                out.append(contentsOf: ": ".utf8)
                member.value.write(to: &out)
            }
            out.append(UInt8(ascii: "}"))
        }
    }

    public var bytes: [UInt8] {
        var out: [UInt8] = []
        write(to: &out)
        return out
    }

    public var text: String { String(decoding: bytes, as: UTF8.self) }

    // MARK: looking inside

    public var string: String? { if case .string(let value) = self { value } else { nil } }
    public var int: Int? { if case .int(let value) = self { value } else { nil } }
    public var bool: Bool? { if case .bool(let value) = self { value } else { nil } }
    public var array: [JSONValue]? { if case .array(let value) = self { value } else { nil } }
    public var object: JSONObject? { if case .object(let value) = self { value } else { nil } }
    public var isNull: Bool { self == .null }

    /// As Python's `if` takes it: null, false, zero and empty values are false.
    public var isTruthy: Bool {
        switch self {
        case .null: false
        case .bool(let value): value
        case .int(let value): value != 0
        // A number that does not fit into Int is not zero.
        case .bigInt: true
        case .double(let value): value != 0
        case .string(let text): !text.isEmpty
        case .array(let elements): !elements.isEmpty
        case .object(let object): !object.members.isEmpty
        }
    }

    /// An integer or a fraction as a Double.
    public var double: Double? {
        switch self {
        case .int(let value): Double(value)
        case .double(let value): value
        case .bigInt(let digits): Double(digits)
        default: nil
        }
    }

    /// The object's member; nil where there is none or this is no object.
    public subscript(key: String) -> JSONValue? { object?[key] }
}

extension JSONValue: ExpressibleByStringLiteral, ExpressibleByIntegerLiteral, ExpressibleByFloatLiteral, ExpressibleByBooleanLiteral,
    ExpressibleByNilLiteral, ExpressibleByArrayLiteral, ExpressibleByDictionaryLiteral
{
    public init(stringLiteral value: String) { self = .string(value) }
    public init(integerLiteral value: Int) { self = .int(value) }
    public init(floatLiteral value: Double) { self = .double(value) }
    public init(booleanLiteral value: Bool) { self = .bool(value) }
    public init(nilLiteral: ()) { self = .null }
    public init(arrayLiteral elements: JSONValue...) { self = .array(elements) }
    public init(dictionaryLiteral elements: (String, JSONValue)...) {
        var object = JSONObject()
        for (key, value) in elements { object.append(key, value) }
        self = .object(object)
    }
}
