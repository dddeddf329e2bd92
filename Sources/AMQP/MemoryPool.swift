import CRabbitMQ

/// librabbitmq's memory for one encoding or decoding: what is taken from it stands until `reuse`.
final class MemoryPool {
    private var pool = UnsafeMutablePointer<amqp_pool_t>.allocate(capacity: 1)

    init() {
        pool.initialize(to: amqp_pool_t())
        init_amqp_pool(pool, 1 << 13)
    }

    deinit {
        empty_amqp_pool(pool)
        pool.deallocate()
    }

    /// The pool itself; valid for as long as this object.
    var raw: UnsafeMutablePointer<amqp_pool_t> { pool }

    /// Gives back all that was taken. Large pieces are freed, small ones kept.
    func reuse() { recycle_amqp_pool(pool) }

    /// Room for `count` values, zeroed; `count` is not 0.
    func room<Value>(for count: Int, of type: Value.Type) throws(AMQPError) -> UnsafeMutablePointer<Value> {
        let size = count * MemoryLayout<Value>.stride
        guard let room = amqp_pool_alloc(pool, size) else { throw AMQPError("no memory") }
        room.initializeMemory(as: UInt8.self, repeating: 0, count: size)
        return room.bindMemory(to: type, capacity: count)
    }

    /// A copy of the text.
    func bytes(_ text: String) throws(AMQPError) -> amqp_bytes_t {
        var text = text
        let count = text.utf8.count
        guard count > 0 else { return amqp_bytes_t() }
        let room = try room(for: count, of: UInt8.self)
        text.withUTF8 { source in
            // Both have `count` bytes.
            if let start = source.baseAddress { room.update(from: start, count: count) }
        }
        return amqp_bytes_t(len: count, bytes: UnsafeMutableRawPointer(room))
    }

    /// A copy of a text that has one byte for its length. librabbitmq would cut the length and write the whole text.
    func short(_ text: String) throws(AMQPError) -> amqp_bytes_t {
        guard text.utf8.count <= 255 else { throw AMQPError("a name of \(text.utf8.count) bytes: AMQP has room for 255") }
        return try bytes(text)
    }
}
