/// Queue names that can stand in every broker's keys and in kombu's JSON without escapes.
enum QueueName {
    static func check(_ name: String, _ flag: String) throws {
        let isSound =
            !name.isEmpty && name.utf8.count <= 255
            && name.unicodeScalars.allSatisfy { $0.value >= 0x20 && $0 != "\"" && $0 != "\\" && $0 != "\u{7F}" }
        guard isSound else {
            throw CommandFailure(
                "\(flag): '\(name)' is not a queue name (1 to 255 bytes, no quotes, backslashes or control characters)", code: 2)
        }
    }
}
