/// Appends the fields of a pipe frame: integers big-endian, texts and byte strings with a 32-bit length before them.
public struct ByteWriter {
    public private(set) var bytes: [UInt8]

    public init(reserving capacity: Int = 64) {
        bytes = []
        bytes.reserveCapacity(capacity)
    }

    public mutating func integer<Value: FixedWidthInteger>(_ value: Value) {
        var shift = Value.bitWidth - 8
        while shift >= 0 {
            bytes.append(UInt8(truncatingIfNeeded: value >> Value(shift)))
            shift -= 8
        }
    }

    /// Fills a frame's first five bytes in, when its length and kind are known.
    mutating func overwrite(_ length: UInt32, _ kind: UInt8) {
        for index in 0..<4 { bytes[index] = UInt8(truncatingIfNeeded: length >> UInt32(24 - 8 * index)) }
        bytes[4] = kind
    }

    public mutating func double(_ value: Double) { integer(value.bitPattern) }

    public mutating func data(_ value: some Collection<UInt8>) {
        integer(UInt32(truncatingIfNeeded: value.count))
        bytes.append(contentsOf: value)
    }

    public mutating func text(_ value: String) { data(value.utf8) }
}
