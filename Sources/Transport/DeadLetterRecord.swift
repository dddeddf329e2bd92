import CoppiceShared

/// What is known of a message that was set aside. Version 1.
struct DeadLetterRecord {
    let id = Incarnation.randomID()
    var reason: String
    var queue: String
    /// Empty if the message does not tell.
    var taskID: String
    /// The attempts that died, the oldest first.
    var deaths: [AttemptStory] = []
    let at = WallTime.now

    var encoded: [UInt8] {
        let record: JSONValue = [
            "v": 1, "id": .string(id), "reason": .string(reason), "queue": .string(queue), "at": .string(ISO8601.format(at)),
            "task_id": taskID.isEmpty ? nil : .string(taskID), "deaths": .array(deaths.map(\.value)),
        ]
        return record.bytes
    }
}
