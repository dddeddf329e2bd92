import CoppiceShared

/// Makes a value of nothing: zeros, empty texts and lists. It stands in for a missing argument, is never seen by a handler, and may
/// fail where a type has no such value.
struct BlankDecoder: Decoder, SingleValueDecodingContainer {
    var codingPath: [any CodingKey] { [] }
    var userInfo: [CodingUserInfoKey: Any] { [:] }

    func container<Key: CodingKey>(keyedBy type: Key.Type) throws -> KeyedDecodingContainer<Key> {
        InitialValues.forget()
        return KeyedDecodingContainer(Keyed<Key>())
    }

    func unkeyedContainer() throws -> any UnkeyedDecodingContainer { ElementContainer([], path: [], function: "") }
    func singleValueContainer() throws -> any SingleValueDecodingContainer { self }

    func decodeNil() -> Bool { true }
    func decode(_ type: Bool.Type) throws -> Bool { false }
    func decode(_ type: String.Type) throws -> String { "" }
    func decode<Value: Decodable>(_ type: Value.Type) throws -> Value {
        if let number = type as? any (FixedWidthInteger & Decodable).Type, let zero = number.init(exactly: 0) as? Value { return zero }
        if let number = type as? any (BinaryFloatingPoint & Decodable).Type, let zero = number.init(exactly: 0) as? Value { return zero }
        return try Value(from: self)
    }

    private struct Keyed<Key: CodingKey>: KeyedDecodingContainerProtocol {
        var codingPath: [any CodingKey] { [] }
        var allKeys: [Key] { [] }
        func contains(_ key: Key) -> Bool { false }
        func decodeNil(forKey key: Key) throws -> Bool { true }
        func decode<Value: Decodable>(_ type: Value.Type, forKey key: Key) throws -> Value { try BlankDecoder().decode(type) }
        func nestedContainer<NestedKey: CodingKey>(
            keyedBy type: NestedKey.Type, forKey key: Key
        ) throws -> KeyedDecodingContainer<NestedKey> { try BlankDecoder().container(keyedBy: type) }
        func nestedUnkeyedContainer(forKey key: Key) throws -> any UnkeyedDecodingContainer { try BlankDecoder().unkeyedContainer() }
        func superDecoder() throws -> any Decoder { BlankDecoder() }
        func superDecoder(forKey key: Key) throws -> any Decoder { BlankDecoder() }
    }
}
