import CoppiceShared

/// Serves an array's elements.
struct ElementContainer: UnkeyedDecodingContainer {
    let codingPath: [any CodingKey]
    private(set) var currentIndex = 0
    private let elements: [JSONValue]
    private let function: String

    init(_ elements: [JSONValue], path: [any CodingKey], function: String) {
        self.elements = elements
        codingPath = path
        self.function = function
    }

    var count: Int? { elements.count }
    var isAtEnd: Bool { currentIndex == elements.count }

    private mutating func next() throws -> ValueDecoder {
        guard currentIndex < elements.count else {
            throw BindingError("\(function)() argument \(BindingError.text(codingPath)) has only \(elements.count) elements")
        }
        defer { currentIndex += 1 }
        return ValueDecoder(elements[currentIndex], path: codingPath + [AnyCodingKey(index: currentIndex)], function: function)
    }

    mutating func decodeNil() throws -> Bool {
        guard currentIndex < elements.count, elements[currentIndex].isNull else { return false }
        currentIndex += 1
        return true
    }

    mutating func decode<Value: Decodable>(_ type: Value.Type) throws -> Value { try next().decode(type) }

    mutating func nestedContainer<NestedKey: CodingKey>(keyedBy type: NestedKey.Type) throws -> KeyedDecodingContainer<NestedKey> {
        try next().container(keyedBy: type)
    }

    mutating func nestedUnkeyedContainer() throws -> any UnkeyedDecodingContainer { try next().unkeyedContainer() }
    mutating func superDecoder() throws -> any Decoder { try next() }
}
