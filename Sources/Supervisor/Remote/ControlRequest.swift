import CoppiceShared

/// A request from Celery's remote control (celery-wire §7.1).
struct ControlRequest {
    var method: String
    var arguments: JSONObject
    /// Where the reply goes and under which ticket; nil: none is wanted.
    var replyTo: (exchange: String, routingKey: String, ticket: String)?
    private let destination: JSONValue
    private let pattern: JSONValue
    private let matcher: JSONValue

    /// nil for what is no request at all.
    init?(_ body: [UInt8]) {
        guard let value = try? JSONValue(parsing: body), let method = value["method"]?.string else { return nil }
        self.method = method
        arguments = value["arguments"]?.object ?? JSONObject()
        destination = value["destination"] ?? .null
        pattern = value["pattern"] ?? .null
        matcher = value["matcher"] ?? .null
        if let reply = value["reply_to"], let exchange = reply["exchange"]?.string, let key = reply["routing_key"]?.string {
            replyTo = (exchange, key, value["ticket"]?.string ?? "")
        }
    }

    /// Whether it is meant for this node, by what Python's truthiness and `in` make of what was sent, as kombu does. Of the two matchers
    /// only `glob` is understood; a `pcre` request is for nobody here.
    func concerns(_ node: String) -> Bool {
        if destination.isTruthy {
            switch destination {
            case .array(let nodes): return nodes.contains(.string(node))
            case .string(let text): return text.contains(node)
            case .object(let nodes): return nodes[node] != nil
            case .null, .bool, .int, .bigInt, .double: return false
            }
        }
        guard pattern.isTruthy, matcher.isTruthy else { return true }
        return matcher == "glob" && pattern.string.map { Glob.matches($0, node) } ?? false
    }
}
