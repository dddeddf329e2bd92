/// What kombu does to an envelope that is put back (celery-wire §2.6), by insertion into its text: nothing else of it changes.
extension Envelope {
    /// Takes an entry of kombu's hash of held messages, `[<message>, exchange, routing key]`, apart; nil if it is none.
    public static func takeApart(_ entry: [UInt8]) -> (message: [UInt8], exchange: String, routingKey: String)? {
        var scanner = JSONScanner(entry)
        do throws(JSONError) {
            try scanner.beginArray()
            guard try scanner.nextElement(first: true), try scanner.peekKind() == .object else { return nil }
            let message = try scanner.skipValue()
            guard try scanner.nextElement(first: false) else { return nil }
            let exchange = try scanner.stringValue() ?? ""
            guard try scanner.nextElement(first: false), let routingKey = try scanner.stringValue(),
                try !scanner.nextElement(first: false)
            else { return nil }
            // `nextElement` has taken the bracket.
            try scanner.expectEnd()
            return (Array(entry[message]), exchange, routingKey)
        } catch {
            return nil
        }
    }

    /// The message with `redelivered` in its headers and its delivery_info, and its priority; nil if it has not both, so that no worker of
    /// Python could take it.
    public static func redelivered(_ message: [UInt8]) -> (message: [UInt8], priority: Int)? {
        var headers: Edit?
        var deliveryInfo: Edit?
        var priority = 0
        do throws(JSONError) {
            var scanner = JSONScanner(message)
            try scanner.eachMember { scanner, key throws(JSONError) in
                if scanner.key(key, is: "headers") {
                    headers = try mark(&scanner)
                } else if scanner.key(key, is: "properties") {
                    try scanner.eachMember { scanner, key throws(JSONError) in
                        if scanner.key(key, is: "delivery_info") {
                            deliveryInfo = try mark(&scanner)
                        } else if scanner.key(key, is: "priority") {
                            priority = max(0, min(9, try scanner.intValue() ?? 0))
                        } else {
                            _ = try scanner.skipValue()
                        }
                    }
                } else {
                    _ = try scanner.skipValue()
                }
            }
            try scanner.expectEnd()
        } catch {
            return nil
        }
        guard let headers, let deliveryInfo else { return nil }
        var marked = message
        // From the back, so that the other's place stays right.
        for edit in [headers, deliveryInfo].sorted(by: { $0.range.lowerBound > $1.range.lowerBound }) {
            marked.replaceSubrange(edit.range, with: edit.text.utf8)
        }
        return (marked, priority)
    }

    /// What is to stand where.
    private struct Edit {
        var range: Range<Int>
        var text: String
    }

    /// How the object that comes next becomes one with `"redelivered": true`; nil if it is no object.
    private static func mark(_ scanner: inout JSONScanner) throws(JSONError) -> Edit? {
        guard try scanner.peekKind() == .object else {
            _ = try scanner.skipValue()
            return nil
        }
        var isEmpty = true
        var old: Range<Int>?
        let object = try scanner.eachMember { scanner, key throws(JSONError) in
            isEmpty = false
            let value = try scanner.skipValue()
            if scanner.key(key, is: "redelivered") { old = value }
        }
        if let old { return Edit(range: old, text: "true") }
        let inside = object.lowerBound + 1
        return Edit(range: inside..<inside, text: isEmpty ? "\"redelivered\": true" : "\"redelivered\": true, ")
    }
}
