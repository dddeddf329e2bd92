import CRabbitMQ
import CoppiceShared

/// librabbitmq's encoder: methods and messages to frames.
final class AMQPEncoder {
    /// The largest frame that the server takes, its seven bytes of head and one of end included.
    var frameMax = AMQPEncoder.standardFrameMax
    /// What RabbitMQ offers and py-amqp asks for.
    static let standardFrameMax = 131072

    private let pool = MemoryPool()
    /// Where librabbitmq writes to; it refuses what does not fit.
    private let scratch = UnsafeMutableRawPointer.allocate(byteCount: AMQPEncoder.standardFrameMax, alignment: 8)

    deinit { scratch.deallocate() }

    func append(_ request: AMQPRequest, channel: UInt16, to out: inout [UInt8]) throws(AMQPError) {
        defer { pool.reuse() }
        switch request {
        case .channelOpen: try method(AMQP_CHANNEL_OPEN_METHOD, amqp_channel_open_t(), channel, &out)
        case .exchangeDeclare(let name, let type, let durable):
            var value = amqp_exchange_declare_t()
            value.exchange = try pool.short(name)
            value.type = try pool.short(type)
            value.durable = durable ? 1 : 0
            try method(AMQP_EXCHANGE_DECLARE_METHOD, value, channel, &out)
        case .exchangeExists(let name):
            var value = amqp_exchange_declare_t()
            value.exchange = try pool.short(name)
            // Not looked at, but must be one that exists.
            value.type = try pool.short("direct")
            value.passive = 1
            try method(AMQP_EXCHANGE_DECLARE_METHOD, value, channel, &out)
        case .exchangeBind(let destination, let source, let routingKey):
            var value = amqp_exchange_bind_t()
            value.destination = try pool.short(destination)
            value.source = try pool.short(source)
            value.routing_key = try pool.short(routingKey)
            try method(AMQP_EXCHANGE_BIND_METHOD, value, channel, &out)
        case .queueDeclare(let name, let durable, let exclusive, let autoDelete, let arguments):
            var value = amqp_queue_declare_t()
            value.queue = try pool.short(name)
            value.durable = durable ? 1 : 0
            value.exclusive = exclusive ? 1 : 0
            value.auto_delete = autoDelete ? 1 : 0
            value.arguments = try FieldTable.table(arguments, in: pool)
            try method(AMQP_QUEUE_DECLARE_METHOD, value, channel, &out)
        case .queueExists(let name):
            var value = amqp_queue_declare_t()
            value.queue = try pool.short(name)
            value.passive = 1
            try method(AMQP_QUEUE_DECLARE_METHOD, value, channel, &out)
        case .queueBind(let queue, let exchange, let routingKey):
            var value = amqp_queue_bind_t()
            value.queue = try pool.short(queue)
            value.exchange = try pool.short(exchange)
            value.routing_key = try pool.short(routingKey)
            try method(AMQP_QUEUE_BIND_METHOD, value, channel, &out)
        case .queueDelete(let name):
            var value = amqp_queue_delete_t()
            value.queue = try pool.short(name)
            try method(AMQP_QUEUE_DELETE_METHOD, value, channel, &out)
        case .queuePurge(let name):
            var value = amqp_queue_purge_t()
            value.queue = try pool.short(name)
            try method(AMQP_QUEUE_PURGE_METHOD, value, channel, &out)
        case .qos(let count, let wholeChannel):
            var value = amqp_basic_qos_t()
            value.prefetch_count = count
            value.global = wholeChannel ? 1 : 0
            try method(AMQP_BASIC_QOS_METHOD, value, channel, &out)
        case .consume(let queue, let tag, let noAck):
            var value = amqp_basic_consume_t()
            value.queue = try pool.short(queue)
            value.consumer_tag = try pool.short(tag)
            value.no_ack = noAck ? 1 : 0
            try method(AMQP_BASIC_CONSUME_METHOD, value, channel, &out)
        case .cancel(let tag):
            var value = amqp_basic_cancel_t()
            value.consumer_tag = try pool.short(tag)
            try method(AMQP_BASIC_CANCEL_METHOD, value, channel, &out)
        case .confirmSelect: try method(AMQP_CONFIRM_SELECT_METHOD, amqp_confirm_select_t(), channel, &out)
        case .ack(let tag, let multiple):
            try method(AMQP_BASIC_ACK_METHOD, amqp_basic_ack_t(delivery_tag: tag, multiple: multiple ? 1 : 0), channel, &out)
        case .requeue(let tag):
            try method(AMQP_BASIC_NACK_METHOD, amqp_basic_nack_t(delivery_tag: tag, multiple: 0, requeue: 1), channel, &out)
        }
    }

    // MARK: the connection's own methods

    func appendStartOK(user: String, password: String, properties: JSONObject, to out: inout [UInt8]) throws(AMQPError) {
        defer { pool.reuse() }
        var value = amqp_connection_start_ok_t()
        value.client_properties = try FieldTable.table(properties, in: pool)
        value.mechanism = try pool.short("PLAIN")
        value.response = try pool.bytes("\0\(user)\0\(password)")
        value.locale = try pool.short("en_US")
        try method(AMQP_CONNECTION_START_OK_METHOD, value, 0, &out)
    }

    func appendTuneOK(channelMax: UInt16, heartbeat: UInt16, to out: inout [UInt8]) throws(AMQPError) {
        let value = amqp_connection_tune_ok_t(
            channel_max: channelMax, frame_max: UInt32(truncatingIfNeeded: frameMax), heartbeat: heartbeat)
        try method(AMQP_CONNECTION_TUNE_OK_METHOD, value, 0, &out)
    }

    func appendOpen(virtualHost: String, to out: inout [UInt8]) throws(AMQPError) {
        defer { pool.reuse() }
        var value = amqp_connection_open_t()
        value.virtual_host = try pool.short(virtualHost)
        try method(AMQP_CONNECTION_OPEN_METHOD, value, 0, &out)
    }

    func appendClose(to out: inout [UInt8]) throws(AMQPError) {
        var value = amqp_connection_close_t()
        value.reply_code = 200
        try method(AMQP_CONNECTION_CLOSE_METHOD, value, 0, &out)
    }

    func appendCloseOK(to out: inout [UInt8]) throws(AMQPError) {
        try method(AMQP_CONNECTION_CLOSE_OK_METHOD, amqp_connection_close_ok_t(), 0, &out)
    }

    func appendChannelCloseOK(channel: UInt16, to out: inout [UInt8]) throws(AMQPError) {
        try method(AMQP_CHANNEL_CLOSE_OK_METHOD, amqp_channel_close_ok_t(), channel, &out)
    }

    func appendFlowOK(isActive: Bool, channel: UInt16, to out: inout [UInt8]) throws(AMQPError) {
        try method(AMQP_CHANNEL_FLOW_OK_METHOD, amqp_channel_flow_ok_t(active: isActive ? 1 : 0), channel, &out)
    }

    // MARK: messages

    /// A publication: the method, the properties, and the body in as many frames as it takes. Nothing is appended where it throws.
    func append(
        channel: UInt16, exchange: String, routingKey: String, mandatory: Bool, _ properties: AMQPProperties, body: [UInt8],
        to out: inout [UInt8]
    ) throws(AMQPError) {
        defer { pool.reuse() }
        var value = amqp_basic_publish_t()
        value.exchange = try pool.short(exchange)
        value.routing_key = try pool.short(routingKey)
        value.mandatory = mandatory ? 1 : 0
        var header = try record(properties)
        let start = out.count
        try method(AMQP_BASIC_PUBLISH_METHOD, value, channel, &out)
        let length = withUnsafeMutablePointer(to: &header) {
            // The record matches the class: basic.
            amqp_encode_properties(60, $0, amqp_bytes_t(len: room, bytes: scratch))
        }
        guard length >= 0, Int(length) <= frameMax - 20 else {
            out.removeLast(out.count - start)
            throw AMQPError("headers of a message that are larger than a frame (\(frameMax) bytes)")
        }
        head(2, channel, 12 + Int(length), &out)
        for byte in [0, 60, 0, 0] as [UInt8] { out.append(byte) }
        big(UInt64(body.count), &out)
        out.append(contentsOf: UnsafeRawBufferPointer(start: scratch, count: Int(length)))
        out.append(AMQPFrame.end)
        var position = 0
        while position < body.count {
            let end = min(body.count, position + frameMax - 8)
            head(3, channel, end - position, &out)
            out.append(contentsOf: body[position..<end])
            out.append(AMQPFrame.end)
            position = end
        }
    }

    private func record(_ properties: AMQPProperties) throws(AMQPError) -> amqp_basic_properties_t {
        var record = amqp_basic_properties_t()
        func short(_ text: String?, _ flag: Int32) throws(AMQPError) -> amqp_bytes_t {
            guard let text else { return amqp_bytes_t() }
            record._flags |= UInt32(flag)
            return try pool.short(text)
        }
        record.content_type = try short(properties.contentType, AMQP_BASIC_CONTENT_TYPE_FLAG)
        record.content_encoding = try short(properties.contentEncoding, AMQP_BASIC_CONTENT_ENCODING_FLAG)
        record.correlation_id = try short(properties.correlationID, AMQP_BASIC_CORRELATION_ID_FLAG)
        record.reply_to = try short(properties.replyTo, AMQP_BASIC_REPLY_TO_FLAG)
        record.expiration = try short(properties.expiration, AMQP_BASIC_EXPIRATION_FLAG)
        record.message_id = try short(properties.messageID, AMQP_BASIC_MESSAGE_ID_FLAG)
        record.type = try short(properties.type, AMQP_BASIC_TYPE_FLAG)
        record.app_id = try short(properties.appID, AMQP_BASIC_APP_ID_FLAG)
        if let headers = properties.headers {
            record._flags |= UInt32(AMQP_BASIC_HEADERS_FLAG)
            record.headers = try FieldTable.table(headers, in: pool)
        }
        if let mode = properties.deliveryMode {
            record._flags |= UInt32(AMQP_BASIC_DELIVERY_MODE_FLAG)
            record.delivery_mode = mode
        }
        if let priority = properties.priority {
            record._flags |= UInt32(AMQP_BASIC_PRIORITY_FLAG)
            record.priority = priority
        }
        if let timestamp = properties.timestamp {
            record._flags |= UInt32(AMQP_BASIC_TIMESTAMP_FLAG)
            record.timestamp = timestamp
        }
        return record
    }

    // MARK: frames

    private var room: Int { min(frameMax, AMQPEncoder.standardFrameMax) }

    private func method<Value>(_ number: UInt32, _ value: Value, _ channel: UInt16, _ out: inout [UInt8]) throws(AMQPError) {
        var value = value
        let length = withUnsafeMutablePointer(to: &value) {
            // The caller passes the record that belongs to the number.
            amqp_encode_method(number, $0, amqp_bytes_t(len: room, bytes: scratch))
        }
        guard length >= 0, Int(length) <= frameMax - 12 else { throw AMQPError("a method that is larger than a frame") }
        head(1, channel, 4 + Int(length), &out)
        for shift in [24, 16, 8, 0] as [UInt32] { out.append(UInt8(truncatingIfNeeded: number >> shift)) }
        out.append(contentsOf: UnsafeRawBufferPointer(start: scratch, count: Int(length)))
        out.append(AMQPFrame.end)
    }

    private func head(_ kind: UInt8, _ channel: UInt16, _ size: Int, _ out: inout [UInt8]) {
        out.append(kind)
        out.append(UInt8(truncatingIfNeeded: channel >> 8))
        out.append(UInt8(truncatingIfNeeded: channel))
        for shift in [24, 16, 8, 0] as [Int] { out.append(UInt8(truncatingIfNeeded: size >> shift)) }
    }

    private func big(_ value: UInt64, _ out: inout [UInt8]) {
        for shift in stride(from: 56 as UInt64, through: 0, by: -8) { out.append(UInt8(truncatingIfNeeded: value >> shift)) }
    }
}
