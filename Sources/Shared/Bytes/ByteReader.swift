/// Takes the fields of a pipe frame in the order in which `ByteWriter` put them. Never reads past the frame's end.
public struct ByteReader {
    private let bytes: [UInt8]
    private var position: Int
    private let end: Int

    public init(_ bytes: [UInt8], in range: Range<Int>) {
        self.bytes = bytes
        position = range.lowerBound
        end = range.upperBound
    }

    public init(_ bytes: [UInt8]) { self.init(bytes, in: 0..<bytes.count) }

    public var isAtEnd: Bool { position == end }

    public mutating func integer<Value: FixedWidthInteger>(_ type: Value.Type = Value.self) throws(FrameError) -> Value {
        let width = Value.bitWidth / 8
        guard end - position >= width else { throw .truncated }
        var value: Value = 0
        for index in position..<position + width {
            value = Value.bitWidth == 8 ? Value(truncatingIfNeeded: bytes[index]) : value << 8 | Value(truncatingIfNeeded: bytes[index])
        }
        position += width
        return value
    }

    public mutating func double() throws(FrameError) -> Double { Double(bitPattern: try integer()) }

    public mutating func data() throws(FrameError) -> [UInt8] {
        let range = try dataRange()
        return Array(bytes[range])
    }

    public mutating func text() throws(FrameError) -> String {
        let range = try dataRange()
        guard let text = String(validating: bytes[range], as: UTF8.self) else { throw .badText }
        return text
    }

    /// One JSON text.
    ///
    /// - Parameter field: what the error calls it.
    public mutating func json(_ field: String) throws(FrameError) -> [UInt8] {
        let text = try data()
        do { try JSONScanner.check(text) } catch { throw .badValue("\(field): \(error)") }
        return text
    }

    private mutating func dataRange() throws(FrameError) -> Range<Int> {
        let count = Int(try integer(UInt32.self))
        guard end - position >= count else { throw .truncated }
        defer { position += count }
        return position..<position + count
    }
}
