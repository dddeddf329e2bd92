/// Foreign text made fit for a terminal: what could move the cursor, change colours or turn the line round becomes an escape that is seen.
public enum TerminalText {
    public static func safe(_ text: String) -> String {
        var out = ""
        for scalar in text.unicodeScalars {
            switch scalar.properties.generalCategory {
            case .control, .format, .lineSeparator, .paragraphSeparator, .surrogate, .privateUse, .unassigned:
                out += "\\u{\(String(scalar.value, radix: 16))}"
            default: out.unicodeScalars.append(scalar)
            }
        }
        return out
    }

    /// No more than so many characters of it.
    public static func safe(_ text: String, limit: Int) -> String {
        let scalars = text.unicodeScalars
        guard let end = scalars.index(scalars.startIndex, offsetBy: limit, limitedBy: scalars.endIndex), end < scalars.endIndex else {
            return safe(text)
        }
        return safe(String(scalars[..<end])) + "…"
    }

    /// Of several lines.
    public static func lines(_ text: String) -> String {
        text.split(separator: "\n", omittingEmptySubsequences: false).map { safe(String($0)) }.joined(separator: "\n")
    }

    /// Bytes of any kind, as Python shows them; what is beyond `limit` is only counted.
    public static func bytes(_ bytes: [UInt8], limit: Int) -> String {
        var out = "b'"
        for byte in bytes.prefix(limit) {
            switch byte {
            case UInt8(ascii: "\\"), UInt8(ascii: "'"): out += "\\" + String(UnicodeScalar(byte))
            case 0x20..<0x7F: out.unicodeScalars.append(UnicodeScalar(byte))
            default: out += "\\x" + (byte < 16 ? "0" : "") + String(byte, radix: 16)
            }
        }
        return out + "'" + (bytes.count > limit ? " … and \(bytes.count - limit) bytes more" : "")
    }
}
