#if FUZZER
    // scripts/fuzz compiles the internal ones along.
    import CoppiceShared
#else
    import CoppiceShared
    @testable import CoppiceRedis
    @testable import CoppiceSupervisor
#endif

/// What reads bytes that others wrote, each with what must hold of it beside that it does not trap. An input's first byte chooses one.
enum FuzzedDecoder: UInt8, CaseIterable {
    case envelope, json, base64, time, redisReply, control, upFrame, downFrame, heldEntry

    /// A property that did not hold.
    struct Broken: Error, CustomStringConvertible {
        var description: String
        init(_ description: String) { self.description = description }
    }

    /// One input, as the corpus holds it.
    static func check(_ input: [UInt8]) throws(Broken) {
        guard let first = input.first else { return }
        let decoder = allCases[Int(first) % allCases.count]
        try decoder.check(Array(input.dropFirst()))
    }

    func check(_ bytes: [UInt8]) throws(Broken) {
        switch self {
        case .envelope: try FuzzedDecoder.envelope(bytes)
        case .json: try FuzzedDecoder.json(bytes)
        case .base64: try FuzzedDecoder.base64(bytes)
        case .time: try FuzzedDecoder.time(bytes)
        case .redisReply: try FuzzedDecoder.redisReply(bytes)
        case .control: FuzzedDecoder.control(bytes)
        case .upFrame:
            try FuzzedDecoder.frames(bytes) { (kind, payload) throws(FrameError) in try UpFrame(kind: kind, payload: payload).encoded }
        case .downFrame:
            try FuzzedDecoder.frames(bytes) { (kind, payload) throws(FrameError) in try DownFrame(kind: kind, payload: payload).encoded }
        case .heldEntry: try FuzzedDecoder.heldEntry(bytes)
        }
    }

    /// What reads is sent on and reads as the same.
    private static func envelope(_ bytes: [UInt8]) throws(Broken) {
        guard let message = try? Envelope.read(bytes, queue: "queue") else { return }
        var publication = TaskPublication(
            routingKey: message.routingKey, headers: message.headers, body: message.body, bodyIsBase64: message.bodyIsBase64)
        publication.exchange = message.exchange
        publication.contentType = message.contentType
        publication.contentEncoding = message.contentEncoding ?? "utf-8"
        publication.correlationID = message.correlationID
        publication.replyTo = message.replyTo
        publication.priority = message.priority
        let again: TaskMessage
        do { again = try Envelope.read(Envelope.write(publication, deliveryTag: "tag"), queue: "other") } catch {
            throw Broken("what was sent on does not read: \(error.reason)")
        }
        var expected = message
        expected.contentEncoding = publication.contentEncoding
        expected.replyTo = message.replyTo ?? ""
        expected.redelivered = false
        if !message.bodyIsBase64 {
            expected.bodyIsBase64 = true
            expected.body = Base64.encode(message.body)
        }
        guard again == expected else { throw Broken("sent on, it reads as another message") }
        // A retry must be legible, and is one more.
        guard message.retries < Int(UInt32.max), let retry = TaskPublication.retry(of: message, at: WallTime(seconds: 1)) else { return }
        guard let read = try? Envelope.read(Envelope.write(retry, deliveryTag: "tag"), queue: "other"), read.retries == message.retries + 1,
            read.id == message.id, read.name == message.name
        else { throw Broken("its retry does not read") }
    }

    private static func json(_ bytes: [UInt8]) throws(Broken) {
        guard let value = try? JSONValue(parsing: bytes) else { return }
        guard (try? JSONScanner.check(bytes)) != nil else { throw Broken("what the parser takes the scanner refuses") }
        // Compared as texts: NaN is not equal to itself.
        guard let again = try? JSONValue(parsing: value.bytes), again.bytes == value.bytes else {
            throw Broken("written, it reads as another value")
        }
        guard value.bytes.allSatisfy({ $0 >= 0x20 && $0 < 0x7F }) else { throw Broken("written, it is not printable ASCII") }
        _ = PythonRepr.value(value)
    }

    private static func base64(_ bytes: [UInt8]) throws(Broken) {
        guard Base64.decode(Base64.encode(bytes)) == bytes else { throw Broken("encoded, it decodes as something else") }
        guard let decoded = Base64.decode(bytes) else { return }
        guard Base64.decode(Base64.encode(decoded)) == decoded else { throw Broken("decoded, it encodes to something else") }
    }

    private static func time(_ bytes: [UInt8]) throws(Broken) {
        guard let time = ISO8601.parse(String(decoding: bytes, as: UTF8.self)) else { return }
        guard ISO8601.parse(ISO8601.format(time)) == time else { throw Broken("written as \(ISO8601.format(time)), it is another time") }
    }

    /// However a stream is cut, the same replies come out.
    private static func redisReply(_ bytes: [UInt8]) throws(Broken) {
        func replies(_ pieces: [ArraySlice<UInt8>]) -> [RedisValue] {
            var found: [RedisValue] = []
            guard let reader = RedisReplyReader() else { return [] }
            for piece in pieces {
                do throws(RedisReplyReader.ProtocolError) {
                    try reader.feed(Array(piece))
                    while let value = try reader.next() { found.append(value) }
                } catch {
                    break
                }
            }
            return found
        }
        let whole = replies([bytes[...]])
        let middle = bytes.count / 2
        guard replies([bytes[..<middle], bytes[middle...]]) == whole else { throw Broken("cut in two, the stream has other replies") }
    }

    private static func control(_ bytes: [UInt8]) {
        for body in [bytes, Envelope.controlBody(bytes)].compactMap({ $0 }) {
            if let request = ControlRequest(body) { _ = request.concerns("celery@host.example") }
        }
    }

    /// A frame that decodes encodes to one that decodes and encodes to the same bytes.
    private static func frames(
        _ bytes: [UInt8], _ recode: (UInt8, ByteReader) throws(FrameError) -> [UInt8]
    ) throws(Broken) {
        var decoder = FrameDecoder()
        decoder.append(bytes)
        while let (kind, payload) = try? decoder.next(), let once = try? recode(kind, payload) {
            var second = FrameDecoder()
            second.append(once)
            guard let (kind, payload) = try? second.next(), let twice = try? recode(kind, payload) else {
                throw Broken("an encoded frame does not decode")
            }
            guard once == twice, second.pending == 0 else { throw Broken("an encoded frame decodes as another") }
        }
    }

    private static func heldEntry(_ bytes: [UInt8]) throws(Broken) {
        guard let entry = Envelope.takeApart(bytes) else { return }
        // Its grammar alone: a foreign worker's entry may hold text that is not UTF-8, and goes back as it is.
        var scanner = JSONScanner(entry.message)
        guard (try? scanner.skipValue()) != nil, (try? scanner.expectEnd()) != nil else {
            throw Broken("the message of an entry is not JSON")
        }
    }
}
