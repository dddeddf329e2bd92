import CoppiceShared

/// Serves a call's properties from the arguments.
struct ParameterContainer<Key: CodingKey>: KeyedDecodingContainerProtocol {
    let binding: ArgumentBinding
    /// The initial values of parameters that may be left out.
    let initial: InitialValues?
    let type: Any.Type
    var codingPath: [any CodingKey] { [] }
    var allKeys: [Key] { binding.keywordNames.compactMap(Key.init(stringValue:)) }

    func contains(_ key: Key) -> Bool {
        binding.mayBeMissing(key.stringValue)
        return binding.argument(key.stringValue) != nil
    }

    func decodeNil(forKey key: Key) throws -> Bool { binding.argument(key.stringValue)?.isNull ?? true }

    func decode<Value: Decodable>(_ type: Value.Type, forKey key: Key) throws -> Value {
        let initial = initial?.next(of: type)
        if let initial {
            binding.mayBeMissing(key.stringValue)
            let value = binding.argument(key.stringValue)
            if value == nil || value == .null && !initial.takesNull { return initial.value }
        }
        guard let value = binding.argument(key.stringValue) else {
            // A blank stands in so that the rest is asked for and the error can name all that is missing; `check` throws it.
            binding.isMissing(key.stringValue)
            return try Value(from: BlankDecoder())
        }
        do {
            return try decoder(value, key).decode(type)
        } catch let error as BindingError {
            binding.failed(error)
            return try initial?.value ?? Value(from: BlankDecoder())
        }
    }

    func decodeIfPresent<Value: Decodable>(_ type: Value.Type, forKey key: Key) throws -> Value? {
        binding.mayBeMissing(key.stringValue)
        guard let value = binding.argument(key.stringValue), !value.isNull else { return nil }
        do {
            return try decoder(value, key).decode(type)
        } catch let error as BindingError {
            binding.failed(error)
            return nil
        }
    }

    func nestedContainer<NestedKey: CodingKey>(
        keyedBy type: NestedKey.Type, forKey key: Key
    ) throws -> KeyedDecodingContainer<NestedKey> {
        try decoder(required(key), key).container(keyedBy: type)
    }

    func nestedUnkeyedContainer(forKey key: Key) throws -> any UnkeyedDecodingContainer {
        try decoder(required(key), key).unkeyedContainer()
    }

    func superDecoder() throws -> any Decoder { ArgumentDecoder(binding: binding, type: type) }
    func superDecoder(forKey key: Key) throws -> any Decoder { try decoder(required(key), key) }

    private func decoder(_ value: JSONValue, _ key: Key) -> ValueDecoder {
        ValueDecoder(value, path: [key], function: binding.arguments.function)
    }

    private func required(_ key: Key) throws -> JSONValue {
        guard let value = binding.argument(key.stringValue) else {
            binding.isMissing(key.stringValue)
            throw BindingError("missing")
        }
        return value
    }
}
