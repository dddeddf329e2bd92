/// The small pieces that reading and writing JSON share: escapes, numbers, hex digits.
public enum JSONText {
    /// The value of a hexadecimal digit.
    public static func hexDigit(_ byte: UInt8) -> UInt8? {
        switch byte {
        case 0x30...0x39: return byte - 0x30
        case 0x41...0x46: return byte - 0x41 + 10
        case 0x61...0x66: return byte - 0x61 + 10
        default: return nil
        }
    }

    /// The text of a JSON string whose grammar has been checked. A lone surrogate becomes U+FFFD: Python may send one, a Swift
    /// String can't hold it.
    public static func unescape(_ bytes: [UInt8], _ range: Range<Int>) throws(JSONError) -> String {
        let slice = bytes[range]
        guard slice.contains(UInt8(ascii: "\\")) else {
            guard let text = String(validating: slice, as: UTF8.self) else { throw JSONError(.badUTF8, at: range.lowerBound) }
            return text
        }
        var out: [UInt8] = []
        out.reserveCapacity(range.count)
        var index = range.lowerBound
        while index < range.upperBound {
            let byte = bytes[index]
            guard byte == UInt8(ascii: "\\") else {
                out.append(byte)
                index += 1
                continue
            }
            let escape = bytes[index + 1]
            index += 2
            switch escape {
            case UInt8(ascii: "b"): out.append(0x08)
            case UInt8(ascii: "f"): out.append(0x0C)
            case UInt8(ascii: "n"): out.append(0x0A)
            case UInt8(ascii: "r"): out.append(0x0D)
            case UInt8(ascii: "t"): out.append(0x09)
            case UInt8(ascii: "u"):
                var unit = codeUnit(bytes, index)
                index += 4
                if unit & 0xFC00 == 0xD800, index + 6 <= range.upperBound, bytes[index] == UInt8(ascii: "\\"),
                    bytes[index + 1] == UInt8(ascii: "u")
                {
                    let low = codeUnit(bytes, index + 2)
                    if low & 0xFC00 == 0xDC00 {
                        unit = 0x10000 + (unit & 0x3FF) << 10 + low & 0x3FF
                        index += 6
                    }
                }
                let scalar = Unicode.Scalar(unit) ?? "\u{FFFD}"
                out.append(contentsOf: UTF8.encode(scalar) ?? UTF8.encodedReplacementCharacter)
            default: out.append(escape)
            }
        }
        guard let text = String(validating: out, as: UTF8.self) else { throw JSONError(.badUTF8, at: range.lowerBound) }
        return text
    }

    private static func codeUnit(_ bytes: [UInt8], _ index: Int) -> UInt32 {
        var unit: UInt32 = 0
        for offset in 0..<4 { unit = unit << 4 | UInt32(hexDigit(bytes[index + offset]) ?? 0) }
        return unit
    }

    /// An integer without fraction or exponent that fits into Int.
    public static func int(_ bytes: [UInt8], _ range: Range<Int>) -> Int? {
        var index = range.lowerBound
        guard index < range.upperBound else { return nil }
        let negative = bytes[index] == UInt8(ascii: "-")
        if negative { index += 1 }
        guard index < range.upperBound else { return nil }
        var value = 0
        while index < range.upperBound {
            let digit = bytes[index] &- 0x30
            guard digit < 10 else { return nil }
            let (scaled, overflow) = value.multipliedReportingOverflow(by: 10)
            let (sum, carry) = negative ? scaled.subtractingReportingOverflow(Int(digit)) : scaled.addingReportingOverflow(Int(digit))
            guard !overflow, !carry else { return nil }
            value = sum
            index += 1
        }
        return value
    }

    /// Any JSON number as a Double (infinite where it does not fit).
    public static func double(_ bytes: [UInt8], _ range: Range<Int>) -> Double? {
        if let int = int(bytes, range) { return Double(int) }
        return Double(String(decoding: bytes[range], as: UTF8.self))
    }

    /// Appends `text` as a JSON string, quotes included, in ASCII only: what Python's encoder sends, and safe in any transport.
    public static func appendString(_ text: String, to out: inout [UInt8]) {
        out.append(UInt8(ascii: "\""))
        // Nearly all are plain: ids, names, states.
        if text.utf8.allSatisfy({ $0 >= 0x20 && $0 < 0x7F && $0 != 0x22 && $0 != 0x5C }) {
            out.append(contentsOf: text.utf8)
            out.append(UInt8(ascii: "\""))
            return
        }
        for scalar in text.unicodeScalars {
            switch scalar.value {
            case 0x22: out.append(contentsOf: [UInt8(ascii: "\\"), 0x22])
            case 0x5C: out.append(contentsOf: [UInt8(ascii: "\\"), 0x5C])
            case 0x0A: out.append(contentsOf: [UInt8(ascii: "\\"), UInt8(ascii: "n")])
            case 0x0D: out.append(contentsOf: [UInt8(ascii: "\\"), UInt8(ascii: "r")])
            case 0x09: out.append(contentsOf: [UInt8(ascii: "\\"), UInt8(ascii: "t")])
            case 0x20..<0x7F: out.append(UInt8(truncatingIfNeeded: scalar.value))
            case let value where value > 0xFFFF:
                let offset = value - 0x10000
                appendEscape(0xD800 + offset >> 10, to: &out)
                appendEscape(0xDC00 + offset & 0x3FF, to: &out)
            case let value: appendEscape(value, to: &out)
            }
        }
        out.append(UInt8(ascii: "\""))
    }

    private static let hexDigits = Array("0123456789abcdef".utf8)

    private static func appendEscape(_ unit: UInt32, to out: inout [UInt8]) {
        out.append(UInt8(ascii: "\\"))
        out.append(UInt8(ascii: "u"))
        for shift in [12, 8, 4, 0] as [UInt32] { out.append(hexDigits[Int(unit >> shift & 0xF)]) }
    }

    /// Appends a Double as Python writes it: `1.0` keeps its fraction, and the three values that JSON lacks have names.
    public static func appendDouble(_ value: Double, to out: inout [UInt8]) {
        if value.isNaN {
            out.append(contentsOf: "NaN".utf8)
        } else if value.isInfinite {
            out.append(contentsOf: (value < 0 ? "-Infinity" : "Infinity").utf8)
        } else {
            out.append(contentsOf: value.description.utf8)
        }
    }
}
