/// The tag of a message that we hold: `<serial of the session>:<delivery tag>`. One of an earlier session is void: its message has gone
/// back to the queue with the connection.
struct AMQPTag: Hashable {
    var serial: UInt64
    var delivery: UInt64

    init(serial: UInt64, delivery: UInt64) {
        self.serial = serial
        self.delivery = delivery
    }

    init?(_ tag: DeliveryTag) {
        let parts = tag.value.split(separator: ":", omittingEmptySubsequences: false)
        guard parts.count == 2, let serial = UInt64(parts[0]), let delivery = UInt64(parts[1]) else { return nil }
        self.init(serial: serial, delivery: delivery)
    }

    var tag: DeliveryTag { DeliveryTag("\(serial):\(delivery)") }
}
