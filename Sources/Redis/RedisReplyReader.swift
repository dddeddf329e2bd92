import CHiredis

/// hiredis' reply parser: bytes in, replies out.
final class RedisReplyReader {
    struct ProtocolError: Error { let text: String }

    private let reader: UnsafeMutablePointer<redisReader>

    /// nil when there is no memory for it.
    init?() {
        guard let reader = redisReaderCreate() else { return nil }
        self.reader = reader
    }

    deinit { redisReaderFree(reader) }

    func feed(_ bytes: [UInt8]) throws(ProtocolError) {
        let result = bytes.withUnsafeBytes { buffer in
            // hiredis copies the bytes before it returns.
            redisReaderFeed(reader, buffer.baseAddress?.assumingMemoryBound(to: CChar.self), buffer.count)
        }
        guard result == REDIS_OK else { throw failure() }
    }

    /// The next whole reply; nil until more bytes are fed.
    func next() throws(ProtocolError) -> RedisValue? {
        var reply: UnsafeMutableRawPointer?
        guard redisReaderGetReply(reader, &reply) == REDIS_OK else { throw failure() }
        guard let reply else { return nil }
        // The reader gave the tree away; it is read once and freed here.
        defer { freeReplyObject(reply) }
        return RedisReplyReader.value(reply.assumingMemoryBound(to: redisReply.self))
    }

    /// Copies a reply tree. Its depth is bounded by hiredis' reader (seven levels).
    private static func value(_ reply: UnsafeMutablePointer<redisReply>) -> RedisValue {
        let fields = reply.pointee
        // `str` points to `len` bytes for the kinds that have text.
        func bytes() -> [UInt8] { Array(UnsafeRawBufferPointer(start: fields.str, count: fields.str == nil ? 0 : Int(fields.len))) }
        switch fields.type {
        case REDIS_REPLY_STRING: return .bulk(bytes())
        case REDIS_REPLY_STATUS: return .status(String(decoding: bytes(), as: UTF8.self))
        case REDIS_REPLY_ERROR: return .error(String(decoding: bytes(), as: UTF8.self))
        case REDIS_REPLY_INTEGER: return .integer(Int(fields.integer))
        case REDIS_REPLY_ARRAY:
            // `element` points to `elements` replies, none of them null.
            let elements = UnsafeBufferPointer(start: fields.element, count: fields.element == nil ? 0 : Int(fields.elements))
            return .array(elements.map { $0.map(value) ?? .null })
        default: return .null
        }
    }

    private func failure() -> ProtocolError {
        // `errstr` is a null-terminated array inside the reader.
        let text = withUnsafeBytes(of: reader.pointee.errstr) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
        return ProtocolError(text: text)
    }
}
