import CoppiceShared

/// Serves a struct's properties, or a dictionary's entries, from an object.
struct MemberContainer<Key: CodingKey>: KeyedDecodingContainerProtocol {
    let codingPath: [any CodingKey]
    private let object: JSONObject
    private let function: String
    private let type: Any.Type
    /// Of big objects only: looking through a few members is quicker than hashing them.
    private let index: [String: JSONValue]?
    /// The initial values of properties that may be left out.
    private let initial: InitialValues?

    /// - Parameter type: What is decoded.
    init(_ object: JSONObject, path: [any CodingKey], function: String, type: Any.Type) {
        self.object = object
        self.type = type
        initial = .taken(by: type)
        codingPath = path
        self.function = function
        index = object.members.count <= 8 ? nil : Dictionary(object.members.map { ($0.key, $0.value) }) { _, last in last }
    }

    var allKeys: [Key] {
        if let index { return index.keys.compactMap(Key.init(stringValue:)) }
        return object.members.compactMap { Key(stringValue: $0.key) }
    }

    private func member(_ key: Key) -> JSONValue? {
        if let index { return index[key.stringValue] }
        return object[key.stringValue]
    }

    private func decoder(_ key: Key) throws -> ValueDecoder {
        guard let value = member(key) else {
            throw BindingError("\(function)() argument \(BindingError.text(codingPath)) has no member '\(key.stringValue)'")
        }
        return ValueDecoder(value, path: codingPath + [key], function: function)
    }

    func contains(_ key: Key) -> Bool { member(key) != nil }
    func decodeNil(forKey key: Key) throws -> Bool { member(key)?.isNull ?? true }
    func decode<Value: Decodable>(_ type: Value.Type, forKey key: Key) throws -> Value {
        if let initial = initial?.next(of: type) {
            let value = member(key)
            if value == nil || value == .null && !initial.takesNull { return initial.value }
        }
        return try decoder(key).decode(type)
    }

    func nestedContainer<NestedKey: CodingKey>(
        keyedBy type: NestedKey.Type, forKey key: Key
    ) throws -> KeyedDecodingContainer<NestedKey> { try decoder(key).container(keyedBy: type) }

    func nestedUnkeyedContainer(forKey key: Key) throws -> any UnkeyedDecodingContainer { try decoder(key).unkeyedContainer() }

    func superDecoder() throws -> any Decoder { ValueDecoder(.object(object), path: codingPath, function: function, type: type) }
    func superDecoder(forKey key: Key) throws -> any Decoder { try decoder(key) }
}
