import CoppiceShared
import FoundationEssentials

/// Turns a task's output into JSON text.
enum ResultEncoder {
    /// The longest result, in bytes; the frame's maximum leaves room for the rest.
    static let maximumSize = 64 << 20

    static func encode(_ output: some Encodable) throws -> [UInt8] {
        var out: [UInt8] = []
        // The short ways that most results take.
        switch output {
        case let value as Int: DecimalDigits.append(value, to: &out)
        case let value as String: JSONText.appendString(value, to: &out)
        case let value as Bool: JSONValue.bool(value).write(to: &out)
        case let value as Double: JSONText.appendDouble(value, to: &out)
        case is NoOutput: JSONValue.null.write(to: &out)
        case let value as JSONValue: value.write(to: &out)
        case let value as [Int]: write(value, to: &out) { DecimalDigits.append($0, to: &$1) }
        case let value as [Double]: write(value, to: &out) { JSONText.appendDouble($0, to: &$1) }
        case let value as [String]: write(value, to: &out) { JSONText.appendString($0, to: &$1) }
        default: try ResultNode(output, path: []).write(to: &out)
        }
        guard out.count <= maximumSize else { throw tooLarge("result", out.count) }
        return out
    }

    private static func write<Element>(_ elements: [Element], to out: inout [UInt8], _ write: (Element, inout [UInt8]) -> Void) {
        out.reserveCapacity(elements.count * 4)
        out.append(UInt8(ascii: "["))
        for (index, element) in elements.enumerated() {
            if index > 0 { out.append(contentsOf: ", ".utf8) }
            write(element, &out)
        }
        out.append(UInt8(ascii: "]"))
    }

    static func tooLarge(_ what: String, _ count: Int) -> ValueError {
        ValueError("the task's \(what) has \(count) bytes, and \(maximumSize) are the most that can be stored")
    }
}
