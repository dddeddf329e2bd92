import CoppiceShared

/// A command as Redis reads it: an array of byte strings, encoded as it is put together.
public struct RedisCommand {
    /// The arguments' encoding, without the array's header.
    private var body: [UInt8] = []
    private var count = 0

    public init(_ words: String...) {
        for word in words { append(word) }
    }

    public mutating func append(_ bytes: [UInt8]) {
        header(bytes.count)
        body.append(contentsOf: bytes)
        body.append(0x0D)
        body.append(0x0A)
        count += 1
    }

    public mutating func append(_ text: String) {
        header(text.utf8.count)
        body.append(contentsOf: text.utf8)
        body.append(0x0D)
        body.append(0x0A)
        count += 1
    }

    public mutating func append(_ number: Int) {
        var digits: [UInt8] = []
        DecimalDigits.append(number, to: &digits)
        append(digits)
    }

    /// Appends several words.
    public mutating func append(contentsOf words: some Sequence<String>) {
        for word in words { append(word) }
    }

    public func write(to out: inout [UInt8]) {
        out.append(UInt8(ascii: "*"))
        DecimalDigits.append(count, to: &out)
        out.append(0x0D)
        out.append(0x0A)
        out.append(contentsOf: body)
    }

    private mutating func header(_ length: Int) {
        body.append(UInt8(ascii: "$"))
        DecimalDigits.append(length, to: &body)
        body.append(0x0D)
        body.append(0x0A)
    }
}
