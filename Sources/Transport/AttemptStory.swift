import CoppiceShared

/// One attempt at a task, as it is written down before it begins; and how it ended, if that was a death. JSON, version 1.
public struct AttemptStory: Equatable, Sendable {
    /// The node that tried.
    public var node: String
    /// The tag under which it held the message: the same attempt, written twice over a lost connection, is one.
    public var mark: String
    public var at: WallTime
    /// What became of it, in a few words; nil: nobody was left to tell, so that the whole node or its host died.
    public var end: String?
    /// The last lines that its process wrote to standard error, the oldest first.
    public var lastLines: [String] = []

    public init(node: String, mark: String, at: WallTime, end: String? = nil, lastLines: [String] = []) {
        self.node = node
        self.mark = mark
        self.at = at
        self.end = end
        self.lastLines = lastLines
    }

    public var encoded: [UInt8] { value.bytes }

    var value: JSONValue {
        [
            "v": 1, "mark": .string(mark), "node": .string(node), "at": .string(ISO8601.format(at)),
            "end": end.map { .string($0) } ?? nil, "stderr": .array(lastLines.map { .string($0) }),
        ]
    }

    /// nil for what is no story.
    public init?(_ text: [UInt8]) {
        guard let value = try? JSONValue(parsing: text), let node = value["node"]?.string, let at = value["at"]?.string,
            let time = ISO8601.parse(at)
        else { return nil }
        self.init(
            node: node, mark: value["mark"]?.string ?? "", at: time, end: value["end"]?.string,
            lastLines: (value["stderr"]?.array ?? []).compactMap(\.string))
    }
}

extension AttemptStory: CustomStringConvertible {
    public var description: String { "\(end ?? "the node died") on \(node) at \(ISO8601.format(at))" }
}
