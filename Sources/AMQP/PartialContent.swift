/// A message that is arriving: its method, then its header, then its body in pieces.
struct PartialContent {
    enum Origin {
        case delivery(consumerTag: String, deliveryTag: UInt64, redelivered: Bool, exchange: String, routingKey: String)
        case returned(code: UInt16, text: String, exchange: String, routingKey: String)
    }

    let origin: Origin
    /// Bytes still to come; nil before the header.
    private var missing: Int?
    private var size = 0
    private var isKept = true
    private var isPutOff = false
    private var properties = AMQPProperties()
    private var defect: String?
    private var body: [UInt8] = []

    init(_ origin: Origin) { self.origin = origin }

    var isComplete: Bool { missing == 0 }

    /// - Parameters:
    ///   - size: as the server says; of a body above `limit` nothing is kept.
    ///   - room: bytes for which there is room now.
    /// - Returns: bytes that will be kept.
    mutating func begin(
        size: UInt64, limit: Int, room: Int, _ properties: Result<AMQPProperties, AMQPError>
    ) throws(AMQPError) -> Int {
        guard missing == nil, let size = Int(exactly: size) else { throw AMQPError("a content header out of turn") }
        self.size = size
        missing = size
        isPutOff = size <= limit && size > room
        isKept = size <= limit && !isPutOff
        // A size is only a promise: no room is made for more than a frame's worth before the bytes are there.
        if isKept { body.reserveCapacity(min(size, 1 << 17)) }
        switch properties {
        case .success(let value): self.properties = value
        case .failure(let error): defect = error.description
        }
        return isKept ? size : 0
    }

    mutating func append(_ bytes: UnsafeRawBufferPointer) throws(AMQPError) {
        guard let left = missing, bytes.count <= left else { throw AMQPError("a body frame out of turn") }
        missing = left - bytes.count
        if isKept { body.append(contentsOf: bytes) }
    }

    func event(channel: UInt16) -> AMQPEvent {
        switch origin {
        case .delivery(let consumerTag, let deliveryTag, let redelivered, let exchange, let routingKey):
            .delivery(
                channel: channel,
                AMQPDelivery(
                    consumerTag: consumerTag, deliveryTag: deliveryTag, redelivered: redelivered, exchange: exchange,
                    routingKey: routingKey, properties: properties, body: body, size: size, defect: defect, isPutOff: isPutOff))
        case .returned(let code, let text, let exchange, let routingKey):
            .returned(
                channel: channel,
                AMQPReturn(
                    code: code, text: text, exchange: exchange, routingKey: routingKey, properties: properties, body: body, size: size))
        }
    }
}
