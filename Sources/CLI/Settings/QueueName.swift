/// Queue names that can stand in every broker's keys and in kombu's JSON without escapes.
enum QueueName {
    static let rule = "1 to 255 bytes, no quotes, backslashes or control characters"

    static func isSound(_ name: String) -> Bool {
        !name.isEmpty && name.utf8.count <= 255
            && name.unicodeScalars.allSatisfy { $0.value >= 0x20 && $0 != "\"" && $0 != "\\" && $0 != "\u{7F}" }
    }

    static func check(_ name: String, _ flag: String) throws {
        guard isSound(name) else { throw CommandFailure("\(flag): '\(name)' is not a queue name (\(rule))", code: 2) }
    }
}
