/// Reads a text of one YAML document: libyaml's events become a tree of `YAMLNode`.
public enum YAMLDocument {
    /// How many collections may stand in each other.
    static let deepest = 64
    /// How many nodes a document may have; what an alias repeats counts again.
    static let mostNodes = 100_000

    /// - Parameter bytes: UTF-8, or UTF-16 with a byte order mark.
    /// - Returns: the document's root; nil if there is no document.
    public static func read(_ bytes: [UInt8]) throws(YAMLError) -> YAMLNode? {
        var builder = YAMLBuilder(events: try YAMLEvents(bytes))
        return try builder.document()
    }
}

/// From events to a tree.
private struct YAMLBuilder {
    let events: YAMLEvents
    private var anchors: [String: (node: YAMLNode, size: Int)] = [:]
    private var count = 0

    init(events: YAMLEvents) { self.events = events }

    mutating func document() throws(YAMLError) -> YAMLNode? {
        var root: YAMLNode?
        while true {
            let event = try events.next()
            switch event.kind {
            case .end: return root
            case .mark: continue
            default:
                guard root == nil else { throw YAMLError(line: event.line, problem: "a second document begins; one is wanted") }
                root = try node(event, depth: 0)
            }
        }
    }

    /// The node that begins with this event.
    private mutating func node(_ event: YAMLEvent, depth: Int) throws(YAMLError) -> YAMLNode {
        if case .alias(let name) = event.kind {
            guard let anchored = anchors[name] else { throw YAMLError(line: event.line, problem: "an alias whose anchor is not there") }
            try grow(by: anchored.size, event)
            return anchored.node
        }
        let before = count
        try grow(by: 1, event)
        let content: YAMLNode.Content
        switch event.kind {
        case .scalar(let text, let isPlain): content = .scalar(text, isPlain: isPlain)
        case .sequence: content = .sequence(try items(event, depth))
        case .mapping: content = .mapping(try entries(event, depth))
        default: throw YAMLError(line: event.line, problem: "a value is missing")
        }
        let node = YAMLNode(content: content, line: event.line)
        if let anchor = event.anchor { anchors[anchor] = (node, count - before) }
        return node
    }

    private mutating func items(_ start: YAMLEvent, _ depth: Int) throws(YAMLError) -> [YAMLNode] {
        try check(depth, start)
        var items: [YAMLNode] = []
        while true {
            let event = try events.next()
            if case .endOfCollection = event.kind { return items }
            items.append(try node(event, depth: depth + 1))
        }
    }

    private mutating func entries(_ start: YAMLEvent, _ depth: Int) throws(YAMLError) -> [YAMLNode.Entry] {
        try check(depth, start)
        var entries: [YAMLNode.Entry] = []
        var seen: Set<String> = []
        while true {
            let event = try events.next()
            if case .endOfCollection = event.kind { return entries }
            guard let key = try node(event, depth: depth + 1).text else {
                throw YAMLError(line: event.line, problem: "a key is not plain text")
            }
            guard key != "<<" else { throw YAMLError(line: event.line, problem: "merge keys (<<) are not read here") }
            // Keys are names, but one in a wrong line may be a password: it is not quoted.
            guard seen.insert(key).inserted else { throw YAMLError(line: event.line, problem: "a key that stands above already") }
            let value = try node(try events.next(), depth: depth + 1)
            entries.append(YAMLNode.Entry(key: key, value: value, line: event.line))
        }
    }

    private func check(_ depth: Int, _ event: YAMLEvent) throws(YAMLError) {
        guard depth < YAMLDocument.deepest else { throw YAMLError(line: event.line, problem: "nested too deeply") }
    }

    private mutating func grow(by size: Int, _ event: YAMLEvent) throws(YAMLError) {
        count += size
        guard count <= YAMLDocument.mostNodes else { throw YAMLError(line: event.line, problem: "too many values") }
    }
}
