/// A value of a YAML document, with its place. All scalars are text: what a text means is its reader's affair.
public struct YAMLNode: Equatable, Sendable {
    public enum Content: Equatable, Sendable {
        /// - isPlain: whether it stood without quotes, so that `~` or nothing can mean null.
        case scalar(String, isPlain: Bool)
        case sequence([YAMLNode])
        /// In the document's order; no key stands twice.
        case mapping([Entry])
    }

    public struct Entry: Equatable, Sendable {
        public let key: String
        public let value: YAMLNode
        /// The key's, from 1.
        public let line: Int
    }

    public let content: Content
    /// Where it begins, from 1.
    public let line: Int

    public var text: String? { if case .scalar(let text, _) = content { text } else { nil } }
    public var sequence: [YAMLNode]? { if case .sequence(let items) = content { items } else { nil } }
    public var mapping: [Entry]? { if case .mapping(let entries) = content { entries } else { nil } }

    /// Whether it is what YAML's core schema takes for null.
    public var isNull: Bool {
        guard case .scalar(let text, isPlain: true) = content else { return false }
        return ["", "~", "null", "Null", "NULL"].contains(text)
    }
}
