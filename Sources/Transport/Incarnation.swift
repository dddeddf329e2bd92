import CoppiceShared

/// One life of one master: a random id, never the node's name, since two containers may share that. Outlives its connections.
public final class Incarnation {
    /// 32 hexadecimal digits.
    public let id: String
    private var lastSequence: UInt64 = 0

    public init() { id = Incarnation.randomID() }

    /// Whether it has had no session yet.
    public var isFresh: Bool { lastSequence == 0 }

    /// Whether a text has the form of an id.
    static func isID(_ text: some StringProtocol) -> Bool {
        text.utf8.count == 32 && text.utf8.allSatisfy { JSONText.hexDigit($0) != nil }
    }

    /// Numbers for tags and sessions, counted up for as long as the master lives.
    public func reserve(_ count: Int) -> UInt64 {
        defer { lastSequence += UInt64(count) }
        return lastSequence + 1
    }

    /// 128 random bits as hexadecimal digits.
    public static func randomID() -> String {
        func digits(_ value: UInt64) -> String {
            let text = String(value, radix: 16)
            return String(repeating: "0", count: 16 - text.count) + text
        }
        return digits(.random(in: 0 ... .max)) + digits(.random(in: 0 ... .max))
    }

    /// A random id in the form of a UUID (version 4), as Celery's task ids are.
    public static func randomUUID() -> String {
        var digits = Array(randomID().utf8)
        digits[12] = UInt8(ascii: "4")
        digits[16] = [UInt8(ascii: "8"), UInt8(ascii: "9"), UInt8(ascii: "a"), UInt8(ascii: "b")][Int(digits[16]) & 3]
        let parts = [0..<8, 8..<12, 12..<16, 16..<20, 20..<32].map { String(decoding: digits[$0], as: UTF8.self) }
        return parts.joined(separator: "-")
    }
}
