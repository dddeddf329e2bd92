import CoppiceShared
import CoppiceTransport

@testable import CoppiceSupervisor

extension Delivery {
    /// A delivery with a tag and an id of its own.
    static func numbered(_ number: Int, priority: Int = 0) -> Delivery {
        var message = TaskMessage(
            id: "\(number)", name: "t", headers: Array("{}".utf8), contentType: "application/json", routingKey: "celery", body: [],
            bodyIsBase64: false)
        message.priority = priority
        return Delivery(tag: DeliveryTag("tag-\(number)"), queue: "celery", message: message)
    }

    var number: Int { Int(message.id) ?? -1 }
}
