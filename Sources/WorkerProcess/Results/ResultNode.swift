import CoppiceShared
import FoundationEssentials

/// A value while it is being encoded. A class, because containers are filled after they were put into their parent.
final class ResultNode {
    private enum Content {
        case value(JSONValue)
        case array([ResultNode])
        case object([(key: String, node: ResultNode)])
    }

    private var content: Content = .value(.null)

    init() {}

    init(_ value: JSONValue) { content = .value(value) }

    init(_ value: some Encodable, path: [any CodingKey]) throws { try set(value, path: path) }

    func set(_ value: JSONValue) { content = .value(value) }

    func set(_ value: some Encodable, path: [any CodingKey]) throws {
        switch value {
        case let value as JSONValue: set(value)
        case let value as Date: set(TypedValue.json(value))
        case let value as UUID: set(TypedValue.json(value))
        case let value as Data: set(.string(String(decoding: Base64.encode(Array(value)), as: UTF8.self)))
        case let value as URL: set(.string(value.absoluteString))
        case let value as Decimal: set(TypedValue.json(value))
        default: try value.encode(to: NodeEncoder(node: self, codingPath: path))
        }
    }

    func becomeArray() { if case .array = content {} else { content = .array([]) } }
    func becomeObject() { if case .object = content {} else { content = .object([]) } }

    var count: Int { if case .array(let nodes) = content { nodes.count } else { 0 } }

    func append(_ node: ResultNode) {
        guard case .array(var nodes) = content else { return }
        // Let go of the old content first, so that the append does not copy the array.
        content = .value(.null)
        nodes.append(node)
        content = .array(nodes)
    }

    func append(_ key: String, _ node: ResultNode) {
        guard case .object(var members) = content else { return }
        content = .value(.null)
        members.append((key, node))
        content = .object(members)
    }

    func write(to out: inout [UInt8]) {
        switch content {
        case .value(let value): value.write(to: &out)
        case .array(let nodes):
            out.append(UInt8(ascii: "["))
            for (index, node) in nodes.enumerated() {
                if index > 0 { out.append(contentsOf: ", ".utf8) }
                node.write(to: &out)
            }
            out.append(UInt8(ascii: "]"))
        case .object(let members):
            out.append(UInt8(ascii: "{"))
            for (index, member) in members.enumerated() {
                if index > 0 { out.append(contentsOf: ", ".utf8) }
                JSONText.appendString(member.key, to: &out)
                out.append(contentsOf: ": ".utf8)
                member.node.write(to: &out)
            }
            out.append(UInt8(ascii: "}"))
        }
    }
}
