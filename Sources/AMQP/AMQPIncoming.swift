import CoppiceShared

/// A method that a server may send.
enum AMQPIncoming {
    case start(major: UInt8, minor: UInt8, properties: JSONObject, mechanisms: String)
    case secure
    case tune(channelMax: UInt16, frameMax: UInt32, heartbeat: UInt16)
    case openOK
    case close(code: UInt16, text: String)
    case closeOK
    case blocked(reason: String)
    case unblocked
    case channelClose(code: UInt16, text: String)
    case flow(isActive: Bool)
    case delivery(consumerTag: String, deliveryTag: UInt64, redelivered: Bool, exchange: String, routingKey: String)
    case returned(code: UInt16, text: String, exchange: String, routingKey: String)
    case confirmed(number: UInt64, multiple: Bool, isTaken: Bool)
    case cancel(consumerTag: String)
    /// An answer, with the number of the method that it answers.
    case reply(to: UInt32, AMQPReply)
}
