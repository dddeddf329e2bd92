import CoppiceShared

/// The tag under which we hold a message in kombu's hash: `<incarnation>:<sequence>:<priority step>`.
///
/// It names the owner, spares us the tags that publishers choose (they repeat), and knows the list to which the message goes back.
enum RedisTag {
    static func make(_ incarnation: Incarnation, _ sequence: UInt64, step: some CustomStringConvertible) -> String {
        "\(incarnation.id):\(sequence):\(step)"
    }

    /// What a message waits under for its time: owned by nobody.
    static func parked(step: Substring) -> String { "parked-\(Incarnation.randomID()):\(step)" }

    /// Whether a Coppice put the tag there, held or parked: `<32 hexadecimal digits>:<sequence>:<step>` or `parked-…`.
    static func isOurs(_ tag: String) -> Bool {
        if tag.hasPrefix("parked-") { return true }
        return incarnation(tag) != nil
    }

    /// Who holds the message; nil for a tag that is none of ours, or of a message that is parked.
    static func incarnation(_ tag: String) -> String? {
        let parts = tag.split(separator: ":", omittingEmptySubsequences: false)
        guard parts.count == 3, Incarnation.isID(parts[0]), UInt64(parts[1]) != nil, UInt8(parts[2]) != nil else { return nil }
        return String(parts[0])
    }

    static func step(_ tag: String) -> Substring { tag.split(separator: ":").last ?? "0" }

    static func sequence(_ tag: String) -> Int { Int(tag.split(separator: ":").dropFirst().first ?? "") ?? 0 }

    /// What stands behind a message in `unacked`: `[<message>` and this. Queue names with quotes or backslashes are refused before they
    /// get here.
    static func ending(_ queue: String) -> String { ",\"\",\"\(queue)\"]" }

    /// Takes `[<message>,"","<queue>"]` apart, as a start record stands there. Nothing is read of the message: it may be broken. A record of
    /// another form is all message, of no queue.
    static func unwrap(_ entry: [UInt8]) -> (message: [UInt8], queue: String) {
        let quote = UInt8(ascii: "\"")
        guard entry.first == UInt8(ascii: "["), entry.suffix(2) == [quote, UInt8(ascii: "]")],
            let opening = entry.dropLast(2).lastIndex(of: quote)
        else { return (entry, "") }
        let queue = String(decoding: entry[(opening + 1)...].dropLast(2), as: UTF8.self)
        let ending = Array(ending(queue).utf8)
        guard entry.count > ending.count, entry.suffix(ending.count) == ending[...] else { return (entry, "") }
        return (Array(entry[1..<(entry.count - ending.count)]), queue)
    }
}
