import CoppiceShared

/// The decoder that a call's `init(from:)` is given.
struct ArgumentDecoder: Decoder {
    let binding: ArgumentBinding
    /// The call's.
    let type: Any.Type
    var codingPath: [any CodingKey] { [] }
    var userInfo: [CodingUserInfoKey: Any] { [:] }

    func container<Key: CodingKey>(keyedBy type: Key.Type) throws -> KeyedDecodingContainer<Key> {
        KeyedDecodingContainer(ParameterContainer<Key>(binding: binding, initial: .taken(by: self.type), type: self.type))
    }

    func unkeyedContainer() throws -> any UnkeyedDecodingContainer {
        ElementContainer(binding.takeUnnamed(), path: [], function: binding.arguments.function)
    }

    func singleValueContainer() throws -> any SingleValueDecodingContainer {
        ValueDecoder(.array(binding.takeUnnamed()), path: [], function: binding.arguments.function)
    }
}
