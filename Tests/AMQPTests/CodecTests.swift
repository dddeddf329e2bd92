import CoppiceShared
import CoppiceTestSupport
import Testing

@testable import CoppiceAMQP

/// The codec and the frames, without a server: what one may send, and what it may not.
@Suite struct CodecTests {
    private static let properties: AMQPProperties = {
        var properties = AMQPProperties()
        properties.contentType = "application/json"
        properties.contentEncoding = "utf-8"
        properties.deliveryMode = 2
        properties.priority = 9
        properties.correlationID = "id"
        properties.replyTo = "back"
        properties.expiration = "1000"
        properties.messageID = "m"
        properties.timestamp = 1_700_000_000
        properties.type = "t"
        properties.appID = "a"
        properties.headers = [
            "null": nil, "true": true, "int": 1, "minus": -1, "big": 5_000_000_000, "least": .int(.min), "double": 2.5, "text": "ü",
            "array": [1, nil, [[]], ["k": "v"]], "table": ["in": ["in": 1]], "empty": [:], "": "no name",
        ]
        return properties
    }()

    /// Everything that is in `bytes`.
    private func read(_ bytes: [UInt8], pieces: () -> Int, limit: Int = 1 << 20) throws -> [AMQPEvent] {
        let decoder = AMQPDecoder()
        var content: PartialContent?
        var events: [AMQPEvent] = []
        var input: [UInt8] = []
        var fed = 0
        while fed < bytes.count {
            let end = min(bytes.count, fed + pieces())
            input += bytes[fed..<end]
            fed = end
            var position = 0
            let result = input.withUnsafeBytes { buffer in
                Result { () throws(AMQPError) in
                    while let frame = try AMQPFrame(buffer, at: position, limit: 131072) {
                        position = frame.next
                        let payload = UnsafeRawBufferPointer(rebasing: buffer[frame.payload])
                        switch frame.kind {
                        case .heartbeat: break
                        case .method:
                            if case .delivery(let consumer, let tag, let again, let exchange, let key) = try decoder.method(payload) {
                                content = PartialContent(
                                    .delivery(
                                        consumerTag: consumer, deliveryTag: tag, redelivered: again, exchange: exchange, routingKey: key))
                            }
                        case .header:
                            guard payload.count >= 12 else { throw AMQPError("short") }
                            let size = UInt64(bigEndian: payload.loadUnaligned(fromByteOffset: 4, as: UInt64.self))
                            let properties = Result { () throws(AMQPError) in
                                try decoder.properties(UnsafeRawBufferPointer(rebasing: payload[12...]))
                            }
                            _ = try content?.begin(size: size, limit: limit, room: .max, properties)
                        case .body: try content?.append(payload)
                        }
                        if let found = content, found.isComplete {
                            events.append(found.event(channel: frame.channel))
                            content = nil
                        }
                    }
                }
            }
            try result.get()
            input.removeFirst(position)
        }
        return events
    }

    /// A delivery as a server sends it: the frames of a publication with another method in front.
    private func delivery(_ properties: AMQPProperties, body: [UInt8]) throws -> [UInt8] {
        var published: [UInt8] = []
        try AMQPEncoder().append(
            channel: 1, exchange: "e", routingKey: "k", mandatory: false, properties, body: body, to: &published)
        let size = published[3..<7].reduce(0) { $0 << 8 | Int($1) }
        let arguments: [UInt8] = [0, 60, 0, 60, 1, 0x63] + [0, 0, 0, 0, 0, 0, 0, 7] + [1, 1, 0x65, 1, 0x6B]
        return [1, 0, 1, 0, 0, 0, UInt8(arguments.count)] + arguments + [0xCE] + published[(8 + size)...]
    }

    @Test func messagesComeBackHoweverTheStreamIsCut() throws {
        var random = SeededGenerator()
        for size in [0, 1, 131_064, 131_065, 400_000] {
            let body = (0..<size).map { UInt8(truncatingIfNeeded: $0 &* 31) }
            let stream = try delivery(Self.properties, body: body)
            for longest in [1 << 20, 70_000, 5000] {
                let events = try read(stream, pieces: { Int.random(in: 1...longest, using: &random) })
                guard case .delivery(1, let found) = try #require(events.first) else { throw AMQPError("no delivery") }
                try #require(found.body == body && found.properties == Self.properties && found.defect == nil, "seed \(random.seed)")
                #expect(found.deliveryTag == 7 && found.redelivered && found.exchange == "e" && found.routingKey == "k")
            }
        }
    }

    @Test func ofALargeMessageNothingIsKept() throws {
        let stream = try delivery(Self.properties, body: Array(repeating: 1, count: 300_000)) + delivery(AMQPProperties(), body: [2])
        let events = try read(stream, pieces: { 1000 }, limit: 299_999)
        let found = events.compactMap { if case .delivery(_, let delivery) = $0 { delivery } else { nil } }
        #expect(found.map(\.size) == [300_000, 1])
        #expect(found.map(\.body) == [[], [2]])
        #expect(found.first?.properties == Self.properties)
    }

    @Test func everyKindOfHeaderHasItsJSON() throws {
        let table: [(kind: String, bytes: [UInt8], value: JSONValue)] = [
            ("t", [1], true), ("b", [0xFF], -1), ("B", [0xFF], 255), ("s", [0xFF, 0xFE], -2), ("u", [0xFF, 0xFE], 65534),
            ("I", [0xFF, 0xFF, 0xFF, 0xFF], -1), ("i", [0xFF, 0xFF, 0xFF, 0xFF], 4_294_967_295),
            ("l", [UInt8](repeating: 0xFF, count: 8), -1), ("L", [UInt8](repeating: 0xFF, count: 8), -1),
            ("f", [0x3F, 0, 0, 0], 0.5), ("d", [0x3F, 0xE0, 0, 0, 0, 0, 0, 0], 0.5), ("D", [2, 0, 0, 0, 150], 1.5),
            ("T", [0, 0, 0, 0, 0, 0, 0, 9], 9), ("S", [0, 0, 0, 2, 0x68, 0x69], "hi"), ("x", [0, 0, 0, 1, 0xFF], "?"),
            ("V", [], nil), ("A", [0, 0, 0, 2, 0x56, 0x56], [nil, nil]), ("F", [0, 0, 0, 3, 1, 0x6B, 0x56], ["k": nil]),
        ]
        var entries: [UInt8] = []
        for (kind, bytes, _) in table { entries += [1] + Array(kind.utf8) + Array(kind.utf8) + bytes }
        let payload: [UInt8] = [0x20, 0, 0, 0, 0, UInt8(entries.count)] + entries
        let found = try payload.withUnsafeBytes { buffer in try AMQPDecoder().properties(buffer) }
        for (kind, _, value) in table { #expect(found.headers?[kind] == value, "\(kind)") }
    }

    @Test func whatIsNoUTF8HasRoomInTheNextMessage() throws {
        let identifier = [UInt8](repeating: 0xFF, count: 253) + Array("\u{FC}".utf8)
        let payload: [UInt8] = [0x04, 0, UInt8(identifier.count)] + identifier
        let found = try payload.withUnsafeBytes { buffer in try AMQPDecoder().properties(buffer) }
        #expect(found.correlationID == String(repeating: "?", count: 253) + "\u{FC}")
        var out: [UInt8] = []
        try AMQPEncoder().append(channel: 1, exchange: "", routingKey: "k", mandatory: true, found, body: [], to: &out)
    }

    /// librabbitmq recurses once a level: this deep it would end the process.
    @Test(arguments: [UInt8(ascii: "A"), UInt8(ascii: "F")]) func nestingHasABound(kind: UInt8) {
        for depth in [10, 60, 70, 20_000] {
            var inner: [UInt8] = []
            // Built from the inside, in reverse, since each level has the length of what is in it.
            for _ in 0..<depth {
                let count = UInt32(inner.count)
                let length = [24, 16, 8, 0].map { UInt8(truncatingIfNeeded: count >> $0) }
                inner += length.reversed() + [kind]
                if kind == UInt8(ascii: "F") { inner += [0x6B, 1] }
            }
            if kind == UInt8(ascii: "A") { inner += [0x6B, 1] }
            let count = UInt32(inner.count)
            let payload = [0x20, 0] + [24, 16, 8, 0].map { UInt8(truncatingIfNeeded: count >> $0) } + inner.reversed()
            let isRead = payload.withUnsafeBytes { buffer in (try? AMQPDecoder().properties(buffer)) != nil }
            #expect(isRead == (depth <= 60), "\(depth)")
        }
    }

    @Test func damagedStreamsAreErrorsOrOtherMessages() throws {
        var random = SeededGenerator()
        let whole = try delivery(Self.properties, body: Array(repeating: 7, count: 40))
        for _ in 0..<20_000 {
            var stream = whole
            for _ in 0..<Int.random(in: 1...4, using: &random) {
                switch Int.random(in: 0..<3, using: &random) {
                case 0: stream[Int.random(in: stream.indices, using: &random)] ^= 1 << UInt8.random(in: 0..<8, using: &random)
                case 1: stream[Int.random(in: stream.indices, using: &random)] = .random(in: 0...255, using: &random)
                default: stream.removeSubrange(Int.random(in: 0..<stream.count, using: &random)...)
                }
                if stream.isEmpty { break }
            }
            // It must end, and without a trap.
            let events = (try? read(stream, pieces: { stream.count })) ?? []
            try #require(events.count <= 1, "seed \(random.seed)")
        }
    }

    @Test func noiseIsNoMethod() {
        var random = SeededGenerator()
        let decoder = AMQPDecoder()
        let classes: [UInt8] = [10, 20, 40, 50, 60, 85, 90]
        for _ in 0..<50_000 {
            var payload = (0..<Int.random(in: 0...60, using: &random)).map { _ in UInt8.random(in: 0...255, using: &random) }
            if payload.count >= 4 {
                payload[0] = 0
                payload[1] = classes.randomElement(using: &random) ?? 10
                payload[2] = 0
                payload[3] = UInt8.random(in: 0...12, using: &random) * 10 + UInt8.random(in: 0...1, using: &random)
            }
            _ = payload.withUnsafeBytes { buffer in try? decoder.method(buffer) }
            _ = payload.withUnsafeBytes { buffer in try? decoder.properties(buffer) }
        }
    }

    @Test func whatDoesNotFitIsRefusedAndNotCut() throws {
        let encoder = AMQPEncoder()
        var out: [UInt8] = [1]
        let long = String(repeating: "x", count: 256)
        #expect(throws: AMQPError.self) { try encoder.append(.queueDeclare(long), channel: 1, to: &out) }
        var properties = AMQPProperties()
        properties.replyTo = long
        #expect(throws: AMQPError.self) {
            try encoder.append(channel: 1, exchange: "", routingKey: "k", mandatory: true, properties, body: [], to: &out)
        }
        properties = AMQPProperties()
        properties.headers = ["large": .string(String(repeating: "x", count: 131_072))]
        #expect(throws: AMQPError.self) {
            try encoder.append(channel: 1, exchange: "", routingKey: "k", mandatory: true, properties, body: [], to: &out)
        }
        #expect(out == [1])
        try encoder.append(.queueDeclare(String(long.dropLast())), channel: 1, to: &out)
        #expect(out.count > 256)
    }
}
