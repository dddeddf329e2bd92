import CoppiceShared

/// What is known of a message that was set aside. Version 1; the id stands first, at a fixed place, for Redis' script.
struct DeadLetterRecord {
    var id: String
    var reason: String
    var queue: String
    var taskID: String?
    var at: WallTime

    var encoded: [UInt8] {
        let record: JSONValue = [
            "v": 1, "id": .string(id), "reason": .string(reason), "queue": .string(queue), "at": .string(ISO8601.format(at)),
            "task_id": taskID.map { .string($0) } ?? nil,
        ]
        return record.bytes
    }
}
