import CoppiceShared
import Foundation

/// One case of Tests/golden: what a real Celery sent or stored (recorded by Tests/golden/record.py).
public struct GoldenMessage: Sendable, CustomStringConvertible {
    public var name: String
    private var members: JSONValue

    public var description: String { name }

    public subscript(member: String) -> JSONValue { members[member] ?? .null }

    /// A member's text as bytes; empty if there is none.
    public func bytes(_ member: String) -> [UInt8] { Array((members[member]?.string ?? "").utf8) }

    /// The cases of a file; throws where it is not as `record.py` writes it.
    public static func cases(of file: String) throws -> [GoldenMessage] {
        let folder = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent().appending(path: "golden")
        let text = try JSONValue(parsing: Array(try Data(contentsOf: folder.appending(path: file + ".json"))))
        guard let messages = text["messages"]?.array, !messages.isEmpty else { throw Unreadable(file: file) }
        return try messages.map { message in
            guard let name = message["case"]?.string else { throw Unreadable(file: file) }
            return GoldenMessage(name: name, members: message)
        }
    }

    public static func one(_ name: String, of file: String) throws -> GoldenMessage {
        guard let found = try cases(of: file).first(where: { $0.name == name }) else { throw Unreadable(file: "\(file), case \(name)") }
        return found
    }

    public struct Unreadable: Error { public let file: String }
}
