import CoppiceShared

/// A request from Celery's remote control (celery-wire §7.1).
struct ControlRequest {
    var method: String
    var arguments: JSONObject
    /// Where the reply goes and under which ticket; nil: none is wanted.
    var replyTo: (exchange: String, routingKey: String, ticket: String)?
    private var destination: [String]
    private var pattern: (text: String, isGlob: Bool)?

    /// nil for what is no request at all.
    init?(_ body: [UInt8]) {
        guard let value = try? JSONValue(parsing: body), let method = value["method"]?.string else { return nil }
        self.method = method
        arguments = value["arguments"]?.object ?? JSONObject()
        destination = value["destination"]?.array?.compactMap(\.string) ?? []
        if let pattern = value["pattern"]?.string, let matcher = value["matcher"]?.string { self.pattern = (pattern, matcher == "glob") }
        if let reply = value["reply_to"], let exchange = reply["exchange"]?.string, let key = reply["routing_key"]?.string {
            replyTo = (exchange, key, value["ticket"]?.string ?? "")
        }
    }

    /// Whether it is meant for this node. Of the two matchers only `glob` is understood; a `pcre` request is for nobody here.
    func concerns(_ node: String) -> Bool {
        if !destination.isEmpty { return destination.contains(node) }
        guard let pattern else { return true }
        return pattern.isGlob && Glob.matches(pattern.text, node)
    }
}
