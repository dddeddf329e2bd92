/// Python's `repr` of plain values, as `argsrepr`, `kwargsrepr` and log lines show it (celery-wire §1.6).
public enum PythonRepr {
    /// Single-quoted, with only the quote escaped.
    public static func string(_ text: String) -> String {
        var out = "'"
        for character in text.unicodeScalars {
            if character == "'" { out.append("\\'") } else { out.unicodeScalars.append(character) }
        }
        return out + "'"
    }

    public static func value(_ value: JSONValue, depth: Int = 0) -> String {
        switch value {
        case .null: "None"
        case .bool(let flag): flag ? "True" : "False"
        case .string(let text): string(text)
        case .array(let elements):
            depth >= 3 ? "[...]" : "[" + elements.map { self.value($0, depth: depth + 1) }.joined(separator: ", ") + "]"
        case .object(let object):
            depth >= 3
                ? "{...}"
                : "{" + object.members.map { "\(string($0.key)): \(self.value($0.value, depth: depth + 1))" }.joined(separator: ", ") + "}"
        case .int, .bigInt, .double: value.text
        }
    }

    /// A tuple, as positional arguments are shown; cut at Celery's 1024 characters.
    public static func tuple(_ elements: [JSONValue]) -> String {
        cut("(" + elements.map { value($0, depth: 1) }.joined(separator: ", ") + (elements.count == 1 ? ",)" : ")"))
    }

    public static func cut(_ text: String) -> String {
        text.unicodeScalars.count <= 1024 ? text : String(text.unicodeScalars.prefix(1021)) + "..."
    }
}
