/// The `%41` of URLs.
public enum PercentEncoding {
    /// The decoded text; nil where a `%` is not followed by two hexadecimal digits, or the result is not UTF-8.
    public static func decode(_ text: some StringProtocol) -> String? {
        var out: [UInt8] = []
        var bytes = Array(text.utf8)[...]
        while let byte = bytes.popFirst() {
            guard byte == UInt8(ascii: "%") else {
                out.append(byte)
                continue
            }
            guard let high = bytes.popFirst().flatMap(JSONText.hexDigit), let low = bytes.popFirst().flatMap(JSONText.hexDigit) else {
                return nil
            }
            out.append(high << 4 | low)
        }
        return String(validating: out, as: UTF8.self)
    }
}
