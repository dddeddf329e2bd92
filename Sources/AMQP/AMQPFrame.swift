/// A frame's place in the bytes that were read.
struct AMQPFrame {
    enum Kind: UInt8 { case method = 1, header, body, heartbeat = 8 }

    /// What stands behind every frame.
    static let end: UInt8 = 0xCE
    static let heartbeat: [UInt8] = [8, 0, 0, 0, 0, 0, 0, end]
    /// What a client says first: AMQP 0-9-1.
    static let protocolHeader: [UInt8] = Array("AMQP".utf8) + [0, 0, 9, 1]
    /// Bytes of a message's header that are read. RabbitMQ never cuts a header: one from a producer that has agreed on larger frames
    /// comes in one frame, whatever was agreed on with us.
    static let largestHeader = 1 << 20
    /// A header begins with its class, its weight and the body's size.
    static let headerStart = 12

    var kind: Kind
    var channel: UInt16
    var payload: Range<Int>
    /// Bytes behind `next` that are still this frame's and are passed over, with its end: of a header that is larger than may be read.
    var unread = 0

    /// The frame at `start`; nil while it is not there as a whole. Of a header that is too large only the start is waited for.
    ///
    /// - Parameter limit: the largest frame that was agreed on. RabbitMQ does not count the eight bytes around a payload.
    init?(_ bytes: UnsafeRawBufferPointer, at start: Int, limit: Int) throws(AMQPError) {
        guard bytes.count - start >= 7 else { return nil }
        guard let kind = Kind(rawValue: bytes[start]) else {
            // A server that speaks another version answers with its own header.
            let isHeader = bytes[start] == UInt8(ascii: "A")
            throw AMQPError(isHeader ? "the server speaks another version of AMQP than 0-9-1" : "not AMQP")
        }
        self.kind = kind
        channel = UInt16(bytes[start + 1]) << 8 | UInt16(bytes[start + 2])
        let size = Int(UInt32(bigEndian: bytes.loadUnaligned(fromByteOffset: start + 3, as: UInt32.self)))
        if kind == .header, size > AMQPFrame.largestHeader {
            guard bytes.count - start >= 7 + AMQPFrame.headerStart else { return nil }
            payload = start + 7..<start + 7 + AMQPFrame.headerStart
            unread = size - AMQPFrame.headerStart + 1
            return
        }
        guard kind == .header || size <= limit else { throw AMQPError("a frame of \(size) bytes, more than was agreed on") }
        guard bytes.count - start >= 8 + size else { return nil }
        guard bytes[start + 7 + size] == AMQPFrame.end else { throw AMQPError("a frame without an end") }
        payload = start + 7..<start + 7 + size
    }

    /// Where the next frame begins.
    var next: Int { unread > 0 ? payload.upperBound : payload.upperBound + 1 }
}
