import CoppiceShared

/// The encoder that an output's `encode(to:)` is given.
struct NodeEncoder: Encoder, SingleValueEncodingContainer {
    let node: ResultNode
    let codingPath: [any CodingKey]
    var userInfo: [CodingUserInfoKey: Any] { [:] }

    func container<Key: CodingKey>(keyedBy type: Key.Type) -> KeyedEncodingContainer<Key> {
        node.becomeObject()
        return KeyedEncodingContainer(Members<Key>(node: node, codingPath: codingPath))
    }

    func unkeyedContainer() -> any UnkeyedEncodingContainer {
        node.becomeArray()
        return Elements(node: node, codingPath: codingPath)
    }

    func singleValueContainer() -> any SingleValueEncodingContainer { self }

    func encodeNil() { node.set(.null) }
    func encode(_ value: Bool) { node.set(.bool(value)) }
    func encode(_ value: String) { node.set(.string(value)) }
    func encode(_ value: Double) { node.set(.double(value)) }
    /// By way of its digits: 0.1 must not become 0.10000000149.
    func encode(_ value: Float) { node.set(.double(Double(value.description) ?? Double(value))) }

    private func integer(_ value: some BinaryInteger) {
        if let int = Int(exactly: value) { node.set(.int(int)) } else { node.set(.bigInt(value.description)) }
    }

    func encode(_ value: Int) { node.set(.int(value)) }
    func encode(_ value: Int8) { integer(value) }
    func encode(_ value: Int16) { integer(value) }
    func encode(_ value: Int32) { integer(value) }
    func encode(_ value: Int64) { integer(value) }
    func encode(_ value: Int128) { integer(value) }
    func encode(_ value: UInt) { integer(value) }
    func encode(_ value: UInt8) { integer(value) }
    func encode(_ value: UInt16) { integer(value) }
    func encode(_ value: UInt32) { integer(value) }
    func encode(_ value: UInt64) { integer(value) }
    func encode(_ value: UInt128) { integer(value) }
    func encode(_ value: some Encodable) throws { try node.set(value, path: codingPath) }

    /// A struct's properties or a dictionary's entries.
    private struct Members<Key: CodingKey>: KeyedEncodingContainerProtocol {
        let node: ResultNode
        let codingPath: [any CodingKey]

        private func member(_ key: any CodingKey) -> NodeEncoder {
            let member = ResultNode()
            node.append(key.stringValue, member)
            return NodeEncoder(node: member, codingPath: codingPath + [key])
        }

        func encodeNil(forKey key: Key) { member(key).encodeNil() }
        func encode(_ value: some Encodable, forKey key: Key) throws { try member(key).encode(value) }
        func nestedContainer<NestedKey: CodingKey>(
            keyedBy keyType: NestedKey.Type, forKey key: Key
        ) -> KeyedEncodingContainer<NestedKey> { member(key).container(keyedBy: keyType) }
        func nestedUnkeyedContainer(forKey key: Key) -> any UnkeyedEncodingContainer { member(key).unkeyedContainer() }
        func superEncoder() -> any Encoder { member(AnyCodingKey("super")) }
        func superEncoder(forKey key: Key) -> any Encoder { member(key) }
    }

    /// An array's elements.
    private struct Elements: UnkeyedEncodingContainer {
        let node: ResultNode
        let codingPath: [any CodingKey]
        var count: Int { node.count }

        private func element() -> NodeEncoder {
            let index = AnyCodingKey(index: node.count)
            let element = ResultNode()
            node.append(element)
            return NodeEncoder(node: element, codingPath: codingPath + [index])
        }

        func encodeNil() { element().encodeNil() }
        func encode(_ value: some Encodable) throws { try element().encode(value) }
        func nestedContainer<NestedKey: CodingKey>(keyedBy keyType: NestedKey.Type) -> KeyedEncodingContainer<NestedKey> {
            element().container(keyedBy: keyType)
        }
        func nestedUnkeyedContainer() -> any UnkeyedEncodingContainer { element().unkeyedContainer() }
        func superEncoder() -> any Encoder { element() }
    }
}
