import CoppiceShared
import FoundationEssentials

/// The values that kombu gives a form of their own in JSON: `{"__type__": …, "__value__": …}` (celery-wire §1.7).
enum TypedValue {
    private static func unwrap(_ value: JSONValue) -> (type: String, value: JSONValue)? {
        guard case .object(let object) = value, object.members.count == 2, let type = object["__type__"]?.string,
            let inner = object["__value__"]
        else { return nil }
        return (type, inner)
    }

    private static func wrap(_ type: String, _ value: JSONValue) -> JSONValue { ["__type__": .string(type), "__value__": value] }

    /// A datetime or date, or a text in their form.
    static func date(_ value: JSONValue) -> Date? {
        let text: String?
        switch unwrap(value) {
        case ("datetime", let inner)?, ("date", let inner)?: text = inner.string
        default: text = value.string
        }
        guard let text, let time = ISO8601.parse(text) else { return nil }
        return Date(timeIntervalSince1970: time.seconds)
    }

    static func json(_ date: Date) -> JSONValue {
        wrap(
            "datetime",
            .string(ISO8601.format(WallTime(microseconds: Int64(max(-9e15, min(9e15, (date.timeIntervalSince1970 * 1e6).rounded())))))))
    }

    /// A uuid, or a text in its form, with or without hyphens.
    static func uuid(_ value: JSONValue) -> UUID? {
        if let typed = unwrap(value) {
            guard typed.type == "uuid", let hex = typed.value["hex"]?.string else { return nil }
            return uuid(hex)
        }
        return value.string.flatMap(uuid)
    }

    private static func uuid(_ text: String) -> UUID? {
        let digits = text.filter { $0 != "-" }
        guard digits.utf8.count == 32 else { return nil }
        var out = ""
        for (index, digit) in digits.enumerated() {
            if [8, 12, 16, 20].contains(index) { out.append("-") }
            out.append(digit)
        }
        return UUID(uuidString: out)
    }

    static func json(_ uuid: UUID) -> JSONValue {
        wrap("uuid", ["hex": .string(uuid.uuidString.filter { $0 != "-" }.lowercased())])
    }

    static func data(_ value: JSONValue) -> Data? {
        switch unwrap(value) {
        case ("bytes", .string(let text))?: return Data(text.utf8)
        case ("base64", .string(let text))?: return Base64.decode(text.utf8).map { Data($0) }
        default: return nil
        }
    }

    /// A decimal, or a number.
    static func decimal(_ value: JSONValue) -> Decimal? {
        if let typed = unwrap(value) {
            guard typed.type == "decimal", let text = typed.value.string else { return nil }
            return Decimal(string: text)
        }
        switch value {
        case .int, .bigInt, .double: return Decimal(string: value.text)
        default: return nil
        }
    }

    static func json(_ decimal: Decimal) -> JSONValue { wrap("decimal", .string(decimal.description)) }
}
