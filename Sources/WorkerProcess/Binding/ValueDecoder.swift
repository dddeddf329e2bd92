import CoppiceShared
import FoundationEssentials

/// Decodes any type from a JSON value. Follows Python: nothing is converted, but an integer is a good float.
struct ValueDecoder: Decoder, SingleValueDecodingContainer {
    let value: JSONValue
    /// From the parameter's name on.
    let codingPath: [any CodingKey]
    /// For errors.
    let function: String
    /// The value that is decoded.
    private let type: Any.Type
    var userInfo: [CodingUserInfoKey: Any] { [:] }

    init(_ value: JSONValue, path: [any CodingKey], function: String, type: Any.Type = JSONValue.self) {
        self.value = value
        codingPath = path
        self.function = function
        self.type = type
    }

    func mismatch(_ type: Any.Type) -> BindingError { BindingError(function, codingPath, wants: type, got: value) }

    func container<Key: CodingKey>(keyedBy type: Key.Type) throws -> KeyedDecodingContainer<Key> {
        guard case .object(let object) = value else { throw mismatch([String: JSONValue].self) }
        return KeyedDecodingContainer(MemberContainer<Key>(object, path: codingPath, function: function, type: self.type))
    }

    func unkeyedContainer() throws -> any UnkeyedDecodingContainer {
        guard case .array(let elements) = value else { throw mismatch([JSONValue].self) }
        return ElementContainer(elements, path: codingPath, function: function)
    }

    func singleValueContainer() throws -> any SingleValueDecodingContainer { self }

    // MARK: single values

    func decodeNil() -> Bool { value.isNull }

    func decode(_ type: Bool.Type) throws -> Bool {
        guard case .bool(let flag) = value else { throw mismatch(type) }
        return flag
    }

    func decode(_ type: String.Type) throws -> String {
        guard case .string(let text) = value else { throw mismatch(type) }
        return text
    }

    func decode(_ type: Double.Type) throws -> Double {
        guard let number = value.double else { throw mismatch(type) }
        return number
    }

    func decode(_ type: Float.Type) throws -> Float { Float(try decode(Double.self)) }

    func decode(_ type: Int.Type) throws -> Int {
        guard case .int(let number) = value else { throw mismatch(type) }
        return number
    }

    private func integer<Value: FixedWidthInteger>(_ type: Value.Type) throws -> Value {
        switch value {
        case .int(let number): if let number = Value(exactly: number) { return number }
        case .bigInt(let digits): if let number = Value(digits) { return number }
        default: throw mismatch(type)
        }
        throw BindingError("\(function)() argument \(BindingError.text(codingPath)) does not fit into \(type)")
    }

    func decode(_ type: Int8.Type) throws -> Int8 { try integer(type) }
    func decode(_ type: Int16.Type) throws -> Int16 { try integer(type) }
    func decode(_ type: Int32.Type) throws -> Int32 { try integer(type) }
    func decode(_ type: Int64.Type) throws -> Int64 { try integer(type) }
    func decode(_ type: Int128.Type) throws -> Int128 { try integer(type) }
    func decode(_ type: UInt.Type) throws -> UInt { try integer(type) }
    func decode(_ type: UInt8.Type) throws -> UInt8 { try integer(type) }
    func decode(_ type: UInt16.Type) throws -> UInt16 { try integer(type) }
    func decode(_ type: UInt32.Type) throws -> UInt32 { try integer(type) }
    func decode(_ type: UInt64.Type) throws -> UInt64 { try integer(type) }
    func decode(_ type: UInt128.Type) throws -> UInt128 { try integer(type) }

    func decode<Value: Decodable>(_ type: Value.Type) throws -> Value {
        // The types that have a form of their own on the wire, and lists that are common and long enough to be worth a short way.
        let special: Any?
        switch type {
        case is Int.Type: special = try decode(Int.self)
        case is String.Type: special = try decode(String.self)
        case is JSONValue.Type: special = value
        case is [Int].Type: special = try list { if case .int(let number) = $0 { number } else { nil } }
        case is [Double].Type: special = try list { $0.double }
        case is [String].Type: special = try list { $0.string }
        case is [JSONValue].Type: special = try list { $0 }
        case is Date.Type: special = TypedValue.date(value)
        case is UUID.Type: special = TypedValue.uuid(value)
        case is Data.Type: special = try data()
        case is URL.Type: special = try url()
        case is Decimal.Type: special = TypedValue.decimal(value)
        default:
            InitialValues.forget()
            do { return try Value(from: ValueDecoder(value, path: codingPath, function: function, type: type)) } catch let error
                as DecodingError
            { throw BindingError(function, codingPath, error) }
        }
        guard let found = special as? Value else { throw mismatch(type) }
        return found
    }

    /// Base64, as JSONDecoder has it, or Python's own form of bytes.
    private func data() throws -> Data? {
        guard case .string(let text) = value else { return TypedValue.data(value) }
        guard let bytes = Base64.decode(text.utf8) else {
            throw BindingError("\(function)() argument \(BindingError.text(codingPath)) is not base64")
        }
        return Data(bytes)
    }

    private func url() throws -> URL? {
        guard case .string(let text) = value else { return nil }
        guard let url = URL(string: text) else { throw BindingError("\(function)() argument \(BindingError.text(codingPath)) is no URL") }
        return url
    }

    private func list<Element>(_ read: (JSONValue) -> Element?) throws -> [Element] {
        guard case .array(let elements) = value else { throw mismatch([Element].self) }
        var out: [Element] = []
        out.reserveCapacity(elements.count)
        for (index, element) in elements.enumerated() {
            guard let read = read(element) else {
                throw BindingError(function, codingPath + [AnyCodingKey(index: index)], wants: Element.self, got: element)
            }
            out.append(read)
        }
        return out
    }
}
