/// What `result_extended` adds to a task's record (celery-wire §4.1).
public struct ExtendedResult: Equatable, Sendable {
    public var name: String
    /// JSON texts; nil where no child has read the message's body.
    public var arguments: [UInt8]?
    public var keywords: [UInt8]?
    /// The node's name.
    public var worker: String
    public var retries: Int
    /// The routing key by which the message came.
    public var queue: String
    /// `stamped_headers`, then each stamp under its own name; empty if there are none.
    public var stamps: JSONObject

    /// - Parameter headers: the message's headers, for its stamps.
    public init(
        name: String, arguments: [UInt8]?, keywords: [UInt8]?, worker: String, retries: Int, queue: String, headers: JSONObject
    ) {
        self.name = name
        self.arguments = arguments
        self.keywords = keywords
        self.worker = worker
        self.retries = retries
        self.queue = queue
        stamps = ExtendedResult.stamps(headers)
    }

    /// Of the stamps those that `stamped_headers` names.
    private static func stamps(_ headers: JSONObject) -> JSONObject {
        var members = JSONObject()
        guard let values = headers["stamps"]?.object, !values.members.isEmpty else { return members }
        let names = headers["stamped_headers"] ?? .null
        let known = Set(names.array?.compactMap(\.string) ?? [])
        members.append("stamped_headers", names)
        for (name, value) in values.members where known.contains(name) { members.append(name, value) }
        return members
    }

    /// Appends the members, each behind a comma, in Celery's order.
    func write(to out: inout [UInt8]) {
        func member(_ name: StaticString, _ text: (inout [UInt8]) -> Void) {
            out.append(contentsOf: ", \"\(name)\": ".utf8)
            text(&out)
        }
        func text(_ json: [UInt8]?) -> (inout [UInt8]) -> Void { { $0.append(contentsOf: json ?? Array("null".utf8)) } }
        member("name") { JSONText.appendString(name, to: &$0) }
        member("args", text(arguments))
        member("kwargs", text(keywords))
        member("worker") { JSONText.appendString(worker, to: &$0) }
        member("retries") { DecimalDigits.append(retries, to: &$0) }
        member("queue") { JSONText.appendString(queue, to: &$0) }
        for (name, value) in stamps.members {
            out.append(contentsOf: ", ".utf8)
            JSONText.appendString(name, to: &out)
            out.append(contentsOf: ": ".utf8)
            value.write(to: &out)
        }
    }
}
