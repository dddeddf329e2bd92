/// kombu's JSON envelope, in which messages stand in Redis lists and in our SQLite file (celery-wire §2.4).
public enum Envelope {
    /// Reads a task message (protocol 2) in one pass over the text.
    ///
    /// - Throws: what is wrong with it, with the task's id and name where they could be read.
    public static func read(_ raw: [UInt8], queue: String) throws(MessageDefect) -> TaskMessage {
        var message = TaskMessage(id: "", name: "", headers: [], contentType: "", routingKey: queue, body: [], bodyIsBase64: false)
        var headers = TaskHeaders()
        // The scanner looks into what it needs; a byte elsewhere that is no text would pass it and stop a Python reader.
        guard raw.reduce(0, |) < 0x80 || String(validating: raw, as: UTF8.self) != nil else { throw MessageDefect("not UTF-8") }
        do throws(JSONError) {
            var scanner = JSONScanner(raw)
            guard try scanner.peekKind() == .object else { throw JSONError(.unexpectedByte, at: 0) }
            try scanner.eachMember { scanner, key throws(JSONError) in
                if scanner.key(key, is: "body") {
                    if let range = try scanner.rawString() { message.body = try text(raw, range) }
                } else if scanner.key(key, is: "headers") {
                    headers = try TaskHeaders(&scanner)
                } else if scanner.key(key, is: "properties") {
                    try readProperties(&scanner, into: &message)
                } else if scanner.key(key, is: "content-type") {
                    message.contentType = try scanner.stringValue() ?? ""
                } else if scanner.key(key, is: "content-encoding") {
                    message.contentEncoding = try scanner.stringValue()
                } else {
                    _ = try scanner.skipValue()
                }
            }
            try scanner.expectEnd()
        } catch {
            throw MessageDefect("not a JSON envelope: \(error)", taskID: headers.id, taskName: headers.task)
        }
        try headers.apply(to: &message)
        return message
    }

    /// Puts an envelope together.
    ///
    /// - Parameter deliveryTag: unique; it is the key under which a Python worker records the message.
    public static func write(_ publication: TaskPublication, deliveryTag: String) -> [UInt8] {
        var out: [UInt8] = []
        out.reserveCapacity(publication.body.count + publication.headers.count + 512)
        func member(_ name: StaticString, _ text: String, last: Bool = false) {
            out.append(contentsOf: "\"\(name)\": ".utf8)
            JSONText.appendString(text, to: &out)
            if !last { out.append(contentsOf: ", ".utf8) }
        }
        out.append(contentsOf: "{\"body\": ".utf8)
        let body = publication.bodyIsBase64 ? publication.body : Base64.encode(publication.body)
        if body.allSatisfy({ $0 > 0x20 && $0 < 0x7F && $0 != UInt8(ascii: "\"") && $0 != UInt8(ascii: "\\") }) {
            out.append(UInt8(ascii: "\""))
            out.append(contentsOf: body)
            out.append(UInt8(ascii: "\""))
        } else {
            // It only says that it is base64: it stays a string all the same.
            JSONText.appendString(String(decoding: body, as: UTF8.self), to: &out)
        }
        out.append(contentsOf: ", ".utf8)
        member("content-encoding", publication.contentEncoding)
        member("content-type", publication.contentType)
        out.append(contentsOf: "\"headers\": ".utf8)
        out.append(contentsOf: publication.headers)
        out.append(contentsOf: ", \"properties\": {".utf8)
        if let id = publication.correlationID { member("correlation_id", id) }
        member("reply_to", publication.replyTo ?? "")
        out.append(contentsOf: "\"delivery_mode\": 2, \"delivery_info\": {".utf8)
        member("exchange", publication.exchange)
        member("routing_key", publication.routingKey, last: true)
        out.append(contentsOf: "}, \"priority\": \(publication.priority), ".utf8)
        if let sent = publication.sentAt { out.append(contentsOf: "\"timestamp\": \(sent.microseconds / 1_000_000), ".utf8) }
        member("body_encoding", "base64")
        member("delivery_tag", deliveryTag, last: true)
        out.append(contentsOf: "}}".utf8)
        return out
    }

    /// A control reply, to be pushed to the caller's queue (celery-wire §7.2).
    public static func write(_ reply: ControlReply) -> [UInt8] {
        let headers: JSONValue = ["ticket": .string(reply.ticket), "clock": 1]
        var publication = TaskPublication(routingKey: reply.routingKey, headers: headers.bytes, body: reply.body)
        publication.exchange = reply.exchange
        return write(publication, deliveryTag: reply.ticket)
    }

    /// A control request's body (JSON text): the decoded body of any envelope; nil if there is none.
    public static func controlBody(_ raw: [UInt8]) -> [UInt8]? {
        guard let envelope = try? JSONValue(parsing: raw), let body = envelope["body"]?.string else { return nil }
        return envelope["properties"]?["body_encoding"]?.string == "base64" ? Base64.decode(body.utf8) : Array(body.utf8)
    }

    /// A broadcast control request (celery-wire §7.1).
    public static func write(control body: [UInt8], deliveryTag: String) -> [UInt8] {
        var publication = TaskPublication(routingKey: "", headers: Array("{\"clock\": 1, \"expires\": 0}".utf8), body: body)
        publication.exchange = "celery.pidbox"
        return write(publication, deliveryTag: deliveryTag)
    }

    private static func readProperties(_ scanner: inout JSONScanner, into message: inout TaskMessage) throws(JSONError) {
        try scanner.eachMember { scanner, key throws(JSONError) in
            if scanner.key(key, is: "correlation_id") {
                message.correlationID = try scanner.stringValue()
            } else if scanner.key(key, is: "reply_to") {
                message.replyTo = try scanner.stringValue()
            } else if scanner.key(key, is: "priority") {
                message.priority = max(0, min(9, try scanner.intValue() ?? 0))
            } else if scanner.key(key, is: "body_encoding") {
                message.bodyIsBase64 = try scanner.stringValue() == "base64"
            } else if scanner.key(key, is: "delivery_info") {
                try readDeliveryInfo(&scanner, into: &message)
            } else {
                _ = try scanner.skipValue()
            }
        }
    }

    private static func readDeliveryInfo(_ scanner: inout JSONScanner, into message: inout TaskMessage) throws(JSONError) {
        try scanner.eachMember { scanner, key throws(JSONError) in
            if scanner.key(key, is: "exchange") {
                message.exchange = try scanner.stringValue() ?? ""
            } else if scanner.key(key, is: "routing_key") {
                message.routingKey = try scanner.stringValue() ?? message.routingKey
            } else if scanner.key(key, is: "redelivered") {
                message.redelivered = try scanner.boolValue() ?? false
            } else {
                _ = try scanner.skipValue()
            }
        }
    }

    /// A body: base64 needs no unescaping unless a publisher escaped its slashes.
    private static func text(_ raw: [UInt8], _ range: Range<Int>) throws(JSONError) -> [UInt8] {
        let slice = raw[range]
        return slice.contains(UInt8(ascii: "\\")) ? Array(try JSONText.unescape(raw, range).utf8) : Array(slice)
    }
}
