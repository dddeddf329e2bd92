import CoppiceTestSupport
import Testing

@testable import CoppiceRedis

@Suite struct RedisReplyReaderTests {
    private static let replies: [(text: String, value: RedisValue)] = [
        ("+OK\r\n", .status("OK")), ("-ERR no\r\n", .error("ERR no")), (":42\r\n", .integer(42)), (":-1\r\n", .integer(-1)),
        ("$0\r\n\r\n", .bulk([])), ("$5\r\na\r\nb\0\r\n", .bulk(Array("a\r\nb\0".utf8))), ("$-1\r\n", .null), ("*-1\r\n", .null),
        ("*0\r\n", .array([])), ("*2\r\n$1\r\nx\r\n*2\r\n:1\r\n$-1\r\n", .array([.bulk([0x78]), .array([.integer(1), .null])])),
        ("*1\r\n-ERR inside\r\n", .array([.error("ERR inside")])),
        (":9223372036854775807\r\n", .integer(.max)), (":-9223372036854775808\r\n", .integer(.min)),
    ]

    private func all(_ reader: RedisReplyReader) throws -> [RedisValue] {
        var values: [RedisValue] = []
        while let value = try reader.next() { values.append(value) }
        return values
    }

    @Test func everyKindOfReply() throws {
        let reader = try #require(RedisReplyReader())
        for (text, value) in Self.replies {
            try reader.feed(Array(text.utf8))
            #expect(try all(reader) == [value])
        }
    }

    @Test func repliesComeBackHoweverTheStreamIsCut() throws {
        var random = SeededGenerator()
        for _ in 0..<300 {
            let chosen = (0..<20).map { _ in Self.replies[Int.random(in: Self.replies.indices, using: &random)] }
            let stream = chosen.flatMap { Array($0.text.utf8) }
            let reader = try #require(RedisReplyReader())
            var values: [RedisValue] = []
            var position = 0
            while position < stream.count {
                let end = min(stream.count, position + Int.random(in: 1...12, using: &random))
                try reader.feed(Array(stream[position..<end]))
                position = end
                // Often several pieces arrive between two looks.
                if Bool.random(using: &random) { values += try all(reader) }
            }
            values += try all(reader)
            #expect(values == chosen.map(\.value), "seed \(random.seed)")
        }
    }

    @Test(arguments: ["HTTP/1.1 400 Bad Request\r\n", "\0", "$x\r\n", "*1x\r\n", "$-2\r\n", ":one\r\n", "*1\r\n!\r\n"])
    func garbageIsAnError(_ text: String) throws {
        let reader = try #require(RedisReplyReader())
        try reader.feed(Array("+OK\r\n".utf8) + Array(text.utf8))
        #expect(try reader.next() == .status("OK"))
        #expect(throws: RedisReplyReader.ProtocolError.self) { try reader.next() }
        // And stays one: what follows garbage has no beginning.
        #expect(throws: (any Error).self) {
            try reader.feed(Array("+OK\r\n".utf8))
            _ = try reader.next()
        }
    }

    @Test func nestingHasABound() throws {
        let reader = try #require(RedisReplyReader())
        try reader.feed(Array(String(repeating: "*1\r\n", count: 100).utf8))
        #expect(throws: RedisReplyReader.ProtocolError.self) { try reader.next() }
    }

    @Test func damagedStreamsAreErrorsOrOtherReplies() throws {
        var random = SeededGenerator()
        for _ in 0..<2000 {
            var stream = (0..<3).flatMap { _ in Array(Self.replies[Int.random(in: Self.replies.indices, using: &random)].text.utf8) }
            for _ in 0..<Int.random(in: 1...3, using: &random) {
                stream[Int.random(in: stream.indices, using: &random)] ^= 1 << UInt8.random(in: 0..<8, using: &random)
            }
            let reader = try #require(RedisReplyReader())
            // It must end, and without a trap.
            var count = 0
            try reader.feed(stream)
            while let reply = try? reader.next() {
                _ = reply
                count += 1
            }
            #expect(count <= stream.count / 3, "seed \(random.seed)")
        }
    }
}
