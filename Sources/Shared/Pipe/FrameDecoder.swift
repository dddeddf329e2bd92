/// Cuts a byte stream into frames, however the bytes arrive. A frame is a 32-bit big-endian length, a kind byte and a payload;
/// the length counts kind and payload.
public struct FrameDecoder {
    private var buffer: [UInt8] = []
    private var start = 0

    public init() {}

    /// Bytes that have arrived and are not part of a frame yet.
    public var pending: Int { buffer.count - start }

    public mutating func append(_ bytes: some Collection<UInt8>) {
        if start == buffer.count {
            buffer.removeAll(keepingCapacity: buffer.count < 1 << 20)
            start = 0
        } else if start > 1 << 16 {
            buffer.removeFirst(start)
            start = 0
        }
        buffer.append(contentsOf: bytes)
    }

    /// The next whole frame's kind and a reader of its payload; nil until more bytes arrive.
    public mutating func next() throws(FrameError) -> (kind: UInt8, payload: ByteReader)? {
        guard pending >= 4 else { return nil }
        var length = 0
        for index in start..<start + 4 { length = length << 8 | Int(buffer[index]) }
        guard length <= PipeProtocol.maximumFrame else { throw .tooLong(length) }
        guard length > 0 else { throw .empty }
        guard pending >= 4 + length else { return nil }
        let payload = start + 5..<start + 4 + length
        defer { start = payload.upperBound }
        return (buffer[payload.lowerBound - 1], ByteReader(buffer, in: payload))
    }

    /// Puts a frame together, in one buffer.
    ///
    /// - Parameters:
    ///   - capacity: what the payload will take, as far as it is known.
    ///   - payload: writes the payload and returns the frame's kind.
    public static func frame(reserving capacity: Int = 64, _ payload: (inout ByteWriter) -> UInt8) -> [UInt8] {
        var out = ByteWriter(reserving: 5 + capacity)
        out.integer(UInt32(0))
        out.integer(UInt8(0))
        let kind = payload(&out)
        out.overwrite(UInt32(out.bytes.count - 4), kind)
        return out.bytes
    }
}
