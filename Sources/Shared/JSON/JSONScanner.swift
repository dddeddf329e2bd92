/// Walks a JSON text without building a tree: finds where values begin and end, and checks their grammar on the way.
///
/// The master reads every message with it: it needs a dozen header fields and hands the rest on as bytes. Python's dialect is
/// accepted (`NaN`, `Infinity`, `-Infinity`; lone surrogates in escapes). Nesting is walked without recursion and capped, so
/// that hostile depth is an error and not a stack overflow.
public struct JSONScanner {
    /// The deepest nesting that is accepted; Python's own parser gives up near a thousand.
    public static let maximumDepth = 512

    public let bytes: [UInt8]
    public private(set) var position: Int
    private let end: Int

    public init(_ bytes: [UInt8]) {
        self.init(bytes, in: 0..<bytes.count)
    }

    public init(_ bytes: [UInt8], in range: Range<Int>) {
        self.bytes = bytes
        self.position = range.lowerBound
        self.end = range.upperBound
    }

    public enum Kind: Equatable, Sendable { case object, array, string, number, literal }

    /// Skips white space and tells what the next value is.
    public mutating func peekKind() throws(JSONError) -> Kind {
        skipSpace()
        guard position < end else { throw JSONError(.unexpectedEnd, at: position) }
        switch bytes[position] {
        case UInt8(ascii: "{"): return .object
        case UInt8(ascii: "["): return .array
        case UInt8(ascii: "\""): return .string
        case UInt8(ascii: "-"), UInt8(ascii: "0")...UInt8(ascii: "9"): return .number
        default: return .literal
        }
    }

    /// Walks the next value's members if it is an object, and skips it if it is anything else.
    ///
    /// - Parameter body: gets the range of a member's key, without its quotes and with its escapes; it must consume the value, which is
    ///   next.
    /// - Returns: the value's range.
    @discardableResult
    public mutating func eachMember(
        _ body: (inout JSONScanner, Range<Int>) throws(JSONError) -> Void
    ) throws(JSONError) -> Range<Int> {
        guard try peekKind() == .object else { return try skipValue() }
        let start = position
        position += 1
        var first = true
        while let key = try nextMember(first: first) {
            first = false
            try body(&self, key)
        }
        return start..<position
    }

    /// The next member's key; nil at the object's end.
    private mutating func nextMember(first: Bool) throws(JSONError) -> Range<Int>? {
        skipSpace()
        guard position < end else { throw JSONError(.unexpectedEnd, at: position) }
        if bytes[position] == UInt8(ascii: "}") {
            position += 1
            return nil
        }
        if !first { try expect(UInt8(ascii: ",")) }
        skipSpace()
        let key = try skipString()
        try expect(UInt8(ascii: ":"))
        return key
    }

    /// Enters an array. Call `nextElement` until it returns false.
    public mutating func beginArray() throws(JSONError) {
        try expect(UInt8(ascii: "["))
    }

    /// Whether another element follows; it is next.
    public mutating func nextElement(first: Bool) throws(JSONError) -> Bool {
        skipSpace()
        guard position < end else { throw JSONError(.unexpectedEnd, at: position) }
        if bytes[position] == UInt8(ascii: "]") {
            position += 1
            return false
        }
        if !first { try expect(UInt8(ascii: ",")) }
        return true
    }

    /// Only white space may be left.
    public mutating func expectEnd() throws(JSONError) {
        skipSpace()
        guard position == end else { throw JSONError(.unexpectedByte, at: position) }
    }

    /// Whether the key in `range` is `name`, which must be ASCII without escapes.
    public func key(_ range: Range<Int>, is name: StaticString) -> Bool {
        guard range.count == name.utf8CodeUnitCount else { return false }
        return name.withUTF8Buffer { buffer in
            var index = range.lowerBound
            for byte in buffer {
                if bytes[index] != byte { return false }
                index += 1
            }
            return true
        }
    }

    // MARK: values

    /// Skips one value, whatever it is, and returns its range.
    public mutating func skipValue() throws(JSONError) -> Range<Int> {
        skipSpace()
        let start = position
        // One bit of knowledge per open bracket: whether it is an object. `stack` holds them; an empty one ends the walk.
        var stack: [Bool] = []
        repeat {
            skipSpace()
            guard position < end else { throw JSONError(.unexpectedEnd, at: position) }
            var closed = false
            switch bytes[position] {
            case UInt8(ascii: "{"), UInt8(ascii: "["):
                let isObject = bytes[position] == UInt8(ascii: "{")
                guard stack.count < Self.maximumDepth else { throw JSONError(.tooDeep, at: position) }
                position += 1
                skipSpace()
                guard position < end else { throw JSONError(.unexpectedEnd, at: position) }
                if bytes[position] == (isObject ? UInt8(ascii: "}") : UInt8(ascii: "]")) {
                    position += 1
                    closed = true
                } else {
                    stack.append(isObject)
                    if isObject { try skipKey() }
                }
            case UInt8(ascii: "\""):
                _ = try skipString()
                closed = true
            default:
                try skipScalar()
                closed = true
            }
            // A value has ended: close brackets and step over commas until the next value stands.
            while closed, let isObject = stack.last {
                skipSpace()
                guard position < end else { throw JSONError(.unexpectedEnd, at: position) }
                let byte = bytes[position]
                if byte == UInt8(ascii: ",") {
                    position += 1
                    if isObject { try skipKey() }
                    closed = false
                } else if byte == (isObject ? UInt8(ascii: "}") : UInt8(ascii: "]")) {
                    position += 1
                    stack.removeLast()
                } else {
                    throw JSONError(.unexpectedByte, at: position)
                }
            }
        } while !stack.isEmpty
        return start..<position
    }

    /// A string value, or nil for any other kind; either way the value is consumed.
    public mutating func stringValue() throws(JSONError) -> String? {
        if try peekKind() == .string {
            let range = try skipString()
            return try JSONText.unescape(bytes, range)
        }
        _ = try skipValue()
        return nil
    }

    /// The range inside a string's quotes, escapes untouched; nil for any other kind, which is consumed.
    public mutating func rawString() throws(JSONError) -> Range<Int>? {
        if try peekKind() == .string { return try skipString() }
        _ = try skipValue()
        return nil
    }

    /// An integer that fits; nil for anything else, which is consumed.
    public mutating func intValue() throws(JSONError) -> Int? {
        guard try peekKind() == .number else {
            _ = try skipValue()
            return nil
        }
        return JSONText.int(bytes, try skipValue())
    }

    /// true or false; nil for anything else, which is consumed.
    public mutating func boolValue() throws(JSONError) -> Bool? {
        skipSpace()
        let range = try skipValue()
        if range.count == 4, bytes[range.lowerBound] == UInt8(ascii: "t") { return true }
        if range.count == 5, bytes[range.lowerBound] == UInt8(ascii: "f") { return false }
        return nil
    }

    // MARK: the pieces

    private mutating func skipKey() throws(JSONError) {
        skipSpace()
        _ = try skipString()
        try expect(UInt8(ascii: ":"))
    }

    private mutating func skipSpace() {
        while position < end {
            switch bytes[position] {
            case 0x20, 0x09, 0x0A, 0x0D: position += 1
            default: return
            }
        }
    }

    private mutating func expect(_ byte: UInt8) throws(JSONError) {
        skipSpace()
        guard position < end else { throw JSONError(.unexpectedEnd, at: position) }
        guard bytes[position] == byte else { throw JSONError(.unexpectedByte, at: position) }
        position += 1
    }

    /// Skips a string and returns the range between its quotes.
    private mutating func skipString() throws(JSONError) -> Range<Int> {
        guard position < end else { throw JSONError(.unexpectedEnd, at: position) }
        guard bytes[position] == UInt8(ascii: "\"") else { throw JSONError(.unexpectedByte, at: position) }
        let text = bytes
        var index = position + 1
        let start = index
        while index < end {
            let byte = text[index]
            if byte == UInt8(ascii: "\"") {
                position = index + 1
                return start..<index
            }
            if byte == UInt8(ascii: "\\") {
                index += 1
                guard index < end else { break }
                switch text[index] {
                case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"), UInt8(ascii: "b"), UInt8(ascii: "f"),
                    UInt8(ascii: "n"), UInt8(ascii: "r"), UInt8(ascii: "t"):
                    index += 1
                case UInt8(ascii: "u"):
                    guard index + 4 < end else { throw JSONError(.unexpectedEnd, at: index) }
                    for offset in 1...4 where JSONText.hexDigit(text[index + offset]) == nil {
                        throw JSONError(.badEscape, at: index)
                    }
                    index += 5
                default: throw JSONError(.badEscape, at: index)
                }
            } else if byte < 0x20 {
                throw JSONError(.controlCharacter, at: index)
            } else {
                index += 1
            }
        }
        throw JSONError(.unexpectedEnd, at: index)
    }

    /// A number or a literal.
    private mutating func skipScalar() throws(JSONError) {
        switch bytes[position] {
        case UInt8(ascii: "t"): try skipWord("true")
        case UInt8(ascii: "f"): try skipWord("false")
        case UInt8(ascii: "n"): try skipWord("null")
        case UInt8(ascii: "N"): try skipWord("NaN")
        case UInt8(ascii: "I"): try skipWord("Infinity")
        case UInt8(ascii: "-") where position + 1 < end && bytes[position + 1] == UInt8(ascii: "I"): try skipWord("-Infinity")
        default: try skipNumber()
        }
    }

    private mutating func skipWord(_ word: StaticString) throws(JSONError) {
        let count = word.utf8CodeUnitCount
        guard position + count <= end else { throw JSONError(.unexpectedEnd, at: position) }
        guard key(position..<position + count, is: word) else { throw JSONError(.unexpectedByte, at: position) }
        position += count
    }

    private mutating func skipNumber() throws(JSONError) {
        let start = position
        if bytes[position] == UInt8(ascii: "-") { position += 1 }
        let wholeStart = position
        guard skipDigits() > 0 else { throw JSONError(.unexpectedByte, at: start) }
        if position - wholeStart > 1, bytes[wholeStart] == UInt8(ascii: "0") { throw JSONError(.badNumber, at: start) }
        if position < end, bytes[position] == UInt8(ascii: ".") {
            position += 1
            guard skipDigits() > 0 else { throw JSONError(.badNumber, at: start) }
        }
        if position < end, bytes[position] | 0x20 == UInt8(ascii: "e") {
            position += 1
            if position < end, bytes[position] == UInt8(ascii: "+") || bytes[position] == UInt8(ascii: "-") { position += 1 }
            guard skipDigits() > 0 else { throw JSONError(.badNumber, at: start) }
        }
    }

    private mutating func skipDigits() -> Int {
        let start = position
        while position < end, bytes[position] &- 0x30 < 10 { position += 1 }
        return position - start
    }
}
