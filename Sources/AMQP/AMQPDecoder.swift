import CRabbitMQ
import CoppiceShared

/// librabbitmq's decoder: payloads of frames to methods and properties. It copies everything out, so that nothing of what it returns
/// points into C memory.
final class AMQPDecoder {
    private let pool = MemoryPool()

    /// A method frame's payload.
    func method(_ payload: UnsafeRawBufferPointer) throws(AMQPError) -> AMQPIncoming {
        guard payload.count >= 4 else { throw AMQPError("a method without a number") }
        let number = UInt32(bigEndian: payload.loadUnaligned(fromByteOffset: 0, as: UInt32.self))
        let arguments = UnsafeRawBufferPointer(rebasing: payload[4...])
        switch number {
        case AMQP_CONNECTION_START_METHOD:
            var position = 2
            guard arguments.count > 2, FieldTable.isSound(arguments, &position) else { throw AMQPError("a greeting that can't be read") }
            return try read(number, arguments, amqp_connection_start_t.self) {
                .start(
                    major: $0.version_major, minor: $0.version_minor, properties: FieldTable.object($0.server_properties),
                    mechanisms: FieldTable.text($0.mechanisms))
            }
        case AMQP_CONNECTION_SECURE_METHOD: return .secure
        case AMQP_CONNECTION_TUNE_METHOD:
            return try read(number, arguments, amqp_connection_tune_t.self) {
                .tune(channelMax: $0.channel_max, frameMax: $0.frame_max, heartbeat: $0.heartbeat)
            }
        case AMQP_CONNECTION_OPEN_OK_METHOD: return .openOK
        case AMQP_CONNECTION_CLOSE_METHOD:
            return try read(number, arguments, amqp_connection_close_t.self) {
                .close(code: $0.reply_code, text: FieldTable.text($0.reply_text))
            }
        case AMQP_CONNECTION_CLOSE_OK_METHOD: return .closeOK
        case AMQP_CONNECTION_BLOCKED_METHOD:
            return try read(number, arguments, amqp_connection_blocked_t.self) { .blocked(reason: FieldTable.text($0.reason)) }
        case AMQP_CONNECTION_UNBLOCKED_METHOD: return .unblocked
        case AMQP_CHANNEL_CLOSE_METHOD:
            return try read(number, arguments, amqp_channel_close_t.self) {
                .channelClose(code: $0.reply_code, text: FieldTable.text($0.reply_text))
            }
        case AMQP_CHANNEL_FLOW_METHOD:
            return try read(number, arguments, amqp_channel_flow_t.self) { .flow(isActive: $0.active != 0) }
        case AMQP_BASIC_DELIVER_METHOD:
            return try read(number, arguments, amqp_basic_deliver_t.self) {
                .delivery(
                    consumerTag: FieldTable.text($0.consumer_tag), deliveryTag: $0.delivery_tag, redelivered: $0.redelivered != 0,
                    exchange: FieldTable.text($0.exchange), routingKey: FieldTable.text($0.routing_key))
            }
        case AMQP_BASIC_RETURN_METHOD:
            return try read(number, arguments, amqp_basic_return_t.self) {
                .returned(
                    code: $0.reply_code, text: FieldTable.text($0.reply_text), exchange: FieldTable.text($0.exchange),
                    routingKey: FieldTable.text($0.routing_key))
            }
        case AMQP_BASIC_ACK_METHOD:
            return try read(number, arguments, amqp_basic_ack_t.self) {
                .confirmed(number: $0.delivery_tag, multiple: $0.multiple != 0, isTaken: true)
            }
        case AMQP_BASIC_NACK_METHOD:
            return try read(number, arguments, amqp_basic_nack_t.self) {
                .confirmed(number: $0.delivery_tag, multiple: $0.multiple != 0, isTaken: false)
            }
        case AMQP_BASIC_CANCEL_METHOD:
            return try read(number, arguments, amqp_basic_cancel_t.self) { .cancel(consumerTag: FieldTable.text($0.consumer_tag)) }
        case AMQP_QUEUE_DECLARE_OK_METHOD:
            return try read(number, arguments, amqp_queue_declare_ok_t.self) {
                .reply(
                    to: number - 1,
                    .queue(name: FieldTable.text($0.queue), messages: Int($0.message_count), consumers: Int($0.consumer_count)))
            }
        case AMQP_QUEUE_PURGE_OK_METHOD:
            return try read(number, arguments, amqp_queue_purge_ok_t.self) {
                .reply(to: number - 1, .removed(messages: Int($0.message_count)))
            }
        case AMQP_QUEUE_DELETE_OK_METHOD:
            return try read(number, arguments, amqp_queue_delete_ok_t.self) {
                .reply(to: number - 1, .removed(messages: Int($0.message_count)))
            }
        case AMQP_CHANNEL_OPEN_OK_METHOD, AMQP_EXCHANGE_DECLARE_OK_METHOD, AMQP_EXCHANGE_BIND_OK_METHOD,
            AMQP_QUEUE_BIND_OK_METHOD, AMQP_BASIC_QOS_OK_METHOD, AMQP_BASIC_CONSUME_OK_METHOD, AMQP_BASIC_CANCEL_OK_METHOD,
            AMQP_CONFIRM_SELECT_OK_METHOD:
            return .reply(to: number - 1, .done)
        // Whatever else there is, a server has no business to send it, and librabbitmq does not get to see it.
        default: throw AMQPError("an unexpected method, \(number >> 16).\(number & 0xFFFF)")
        }
    }

    /// A content header's properties, from its flags on.
    ///
    /// - Throws: where they can't be read. The stream is intact all the same.
    func properties(_ payload: UnsafeRawBufferPointer) throws(AMQPError) -> AMQPProperties {
        guard hasSoundHeaders(payload) else { throw AMQPError("headers that can't be read, or are nested too deep") }
        defer { pool.reuse() }
        var decoded: UnsafeMutableRawPointer?
        guard amqp_decode_properties(60, pool.raw, AMQPDecoder.bytes(payload), &decoded) == 0, let decoded else {
            throw AMQPError("properties that can't be read")
        }
        // The record of class 60, basic; it and what it points to stand in the pool or the payload until we return.
        let record = decoded.assumingMemoryBound(to: amqp_basic_properties_t.self).pointee
        func text(_ bytes: amqp_bytes_t, _ flag: Int32) -> String? {
            record._flags & UInt32(flag) != 0 ? FieldTable.text(bytes) : nil
        }
        var properties = AMQPProperties()
        properties.contentType = text(record.content_type, AMQP_BASIC_CONTENT_TYPE_FLAG)
        properties.contentEncoding = text(record.content_encoding, AMQP_BASIC_CONTENT_ENCODING_FLAG)
        if record._flags & UInt32(AMQP_BASIC_HEADERS_FLAG) != 0 { properties.headers = FieldTable.object(record.headers) }
        if record._flags & UInt32(AMQP_BASIC_DELIVERY_MODE_FLAG) != 0 { properties.deliveryMode = record.delivery_mode }
        if record._flags & UInt32(AMQP_BASIC_PRIORITY_FLAG) != 0 { properties.priority = record.priority }
        properties.correlationID = text(record.correlation_id, AMQP_BASIC_CORRELATION_ID_FLAG)
        properties.replyTo = text(record.reply_to, AMQP_BASIC_REPLY_TO_FLAG)
        properties.expiration = text(record.expiration, AMQP_BASIC_EXPIRATION_FLAG)
        properties.messageID = text(record.message_id, AMQP_BASIC_MESSAGE_ID_FLAG)
        if record._flags & UInt32(AMQP_BASIC_TIMESTAMP_FLAG) != 0 { properties.timestamp = record.timestamp }
        properties.type = text(record.type, AMQP_BASIC_TYPE_FLAG)
        properties.userID = text(record.user_id, AMQP_BASIC_USER_ID_FLAG)
        properties.appID = text(record.app_id, AMQP_BASIC_APP_ID_FLAG)
        return properties
    }

    /// Finds the header table, behind content type and encoding, and checks it before librabbitmq recurses into it.
    private func hasSoundHeaders(_ payload: UnsafeRawBufferPointer) -> Bool {
        guard payload.count >= 2 else { return false }
        let flags = UInt16(payload[0]) << 8 | UInt16(payload[1])
        // A further word of flags, which no version of AMQP uses, would move the rest.
        guard flags & 1 == 0 else { return false }
        guard flags & UInt16(AMQP_BASIC_HEADERS_FLAG) != 0 else { return true }
        var position = 2
        for flag in [AMQP_BASIC_CONTENT_TYPE_FLAG, AMQP_BASIC_CONTENT_ENCODING_FLAG] where flags & UInt16(flag) != 0 {
            guard position < payload.count else { return false }
            position += 1 + Int(payload[position])
        }
        return position < payload.count && FieldTable.isSound(payload, &position)
    }

    private func read<Record>(
        _ number: UInt32, _ arguments: UnsafeRawBufferPointer, _ type: Record.Type, _ body: (Record) -> AMQPIncoming
    ) throws(AMQPError) -> AMQPIncoming {
        defer { pool.reuse() }
        var decoded: UnsafeMutableRawPointer?
        guard amqp_decode_method(number, pool.raw, AMQPDecoder.bytes(arguments), &decoded) == 0, let decoded else {
            throw AMQPError("a method that can't be read, \(number >> 16).\(number & 0xFFFF)")
        }
        // The caller names the record that belongs to the number; it stands in the pool until we return.
        return body(decoded.assumingMemoryBound(to: type).pointee)
    }

    /// librabbitmq only reads from it, and keeps no pointer beyond the record that is copied out.
    private static func bytes(_ buffer: UnsafeRawBufferPointer) -> amqp_bytes_t {
        amqp_bytes_t(len: buffer.count, bytes: UnsafeMutableRawPointer(mutating: buffer.baseAddress))
    }
}
