import CoppiceShared

/// A record as one JSON object on a line of its own: `v`, `time` (RFC 3339, UTC), `level`, `node`, `message`, then the record's fields.
struct JSONLine {
    /// Of the form. Further members may come under the same number.
    static let version = 1

    let node: String

    func bytes(_ record: LogRecord) -> [UInt8] {
        let object: JSONObject = [
            "v": .int(JSONLine.version), "time": .string(ISO8601.format(record.time)), "level": .string(record.level.rawValue),
            LogField.node: .string(node), "message": .string(record.text),
        ]
        var line = object
        for (name, value) in record.fields.members { line.append(name, value) }
        return JSONValue.object(line).bytes + [UInt8(ascii: "\n")]
    }
}
