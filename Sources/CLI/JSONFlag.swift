import CoppiceShared

/// A flag's value that is JSON.
enum JSONFlag {
    static func array(_ text: String, _ flag: String) throws -> [JSONValue] {
        guard case .array(let elements) = try parse(text, flag) else {
            throw CommandFailure("\(flag): not a JSON array, like '[2, 3]'", code: 2)
        }
        return elements
    }

    static func object(_ text: String, _ flag: String) throws -> JSONObject {
        guard case .object(let members) = try parse(text, flag) else {
            throw CommandFailure("\(flag): not a JSON object, like '{\"x\": 2}'", code: 2)
        }
        return members
    }

    private static func parse(_ text: String, _ flag: String) throws -> JSONValue {
        do { return try JSONValue(parsing: Array(text.utf8)) } catch { throw CommandFailure("\(flag): not JSON: \(error)", code: 2) }
    }
}
