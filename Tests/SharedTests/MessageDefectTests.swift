import CoppiceShared
import CoppiceTestSupport
import Testing

/// Messages that can't be run: each is an answer that names what could be read, none is a trap.
@Suite struct MessageDefectTests {
    private func read(headers: String, contentType: String = #""application/json""#) throws -> TaskMessage {
        try Envelope.read(
            Array(#"{"body": "W10=", "content-type": \#(contentType), "headers": \#(headers), "properties": {}}"#.utf8), queue: "q")
    }

    private func defect(headers: String, contentType: String = #""application/json""#) -> MessageDefect? {
        do {
            _ = try read(headers: headers, contentType: contentType)
            return nil
        } catch {
            return error as? MessageDefect
        }
    }

    @Test func theLeastThatIsAMessage() throws {
        let message = try read(headers: #"{"id": "i", "task": "t"}"#)
        #expect(message.id == "i" && message.name == "t" && message.routingKey == "q" && message.body == Array("W10=".utf8))
        #expect(message.retries == 0 && message.eta == nil && message.priority == 0 && !message.bodyIsBase64)
    }

    @Test func whatIsMissing() {
        #expect(defect(headers: "{}") == MessageDefect("no task header: not a task message of protocol 2"))
        #expect(defect(headers: "null")?.taskID == nil && defect(headers: "null") != nil)
        #expect(defect(headers: #"{"id": "i"}"#)?.taskID == "i")
        #expect(defect(headers: #"{"id": "i", "task": ""}"#)?.taskID == "i")
        #expect(defect(headers: #"{"task": "t"}"#) == MessageDefect("no id header", taskName: "t"))
        #expect(defect(headers: #"{"id": "", "task": "t"}"#)?.taskName == "t")
        #expect(defect(headers: #"{"id": 5, "task": "t"}"#)?.taskName == "t")
        for type in ["null", #""""#, "5"] {
            #expect(
                defect(headers: #"{"id": "i", "task": "t"}"#, contentType: type)
                    == MessageDefect("no content type", taskID: "i", taskName: "t"))
        }
    }

    @Test(arguments: [
        #""retries": -1"#, #""retries": 1.5"#, #""retries": "1""#, #""retries": 4294967296"#, #""retries": 1180591620717411303424"#,
        #""retries": true"#, #""eta": "soon""#, #""eta": 5"#, #""eta": []"#, #""eta": true"#, #""expires": """#, #""expires": {}"#,
    ])
    func whatIsWrong(_ member: String) {
        let defect = defect(headers: #"{"task": "t", \#(member), "id": "i"}"#)
        #expect(defect?.taskID == "i" && defect?.taskName == "t" && defect?.reason.isEmpty == false)
    }

    @Test(arguments: ["null", "[]", "[1]", "[1, 2, 3]", "5", #"["a", "b"]"#, "[0, -1]", "[NaN, Infinity]", "{}"])
    func limitsThatAreNoneCountAsNone(_ limits: String) throws {
        let message = try read(headers: #"{"task": "t", "id": "i", "timelimit": \#(limits)}"#)
        #expect(message.hardTimeLimit == nil && message.softTimeLimit == nil)
    }

    @Test func limitsOneByOne() throws {
        let message = try read(headers: #"{"task": "t", "id": "i", "timelimit": [null, 2.5]}"#)
        #expect(message.hardTimeLimit == nil && message.softTimeLimit == 2.5)
    }

    @Test func prioritiesStayInTheirRange() throws {
        for (given, expected) in [("-5", 0), ("3", 3), ("12", 9), ("null", 0), ("\"x\"", 0)] {
            let raw = #"{"content-type": "j", "headers": {"id": "i", "task": "t"}, "properties": {"priority": \#(given)}}"#
            #expect(try Envelope.read(Array(raw.utf8), queue: "q").priority == expected)
        }
    }

    /// Python decodes the whole text first: where it would stop, nothing may pass, be it in a part that nobody here reads.
    @Test func textThatIsNotUTF8IsRefused() {
        let raw = #"{"body": "@", "content-type": "j", "headers": {"id": "i", "task": "t", "x-my": "@"}}"#
        #expect(throws: Never.self) { try Envelope.read(Array(raw.utf8), queue: "q") }
        for (place, byte) in raw.utf8.enumerated() where byte == UInt8(ascii: "@") {
            var damaged = Array(raw.utf8)
            damaged[place] = 0xFF
            #expect(throws: MessageDefect.self) { try Envelope.read(damaged, queue: "q") }
        }
    }

    @Test func aBodyThatOnlySaysThatItIsBase64StaysAString() throws {
        let raw =
            #"{"body": "x\", \"headers\": {}", "content-type": "j", "headers": {"id": "i", "task": "t"}, "properties": {"body_encoding": "base64"}}"#
        let message = try Envelope.read(Array(raw.utf8), queue: "q")
        let retry = try #require(TaskPublication.retry(of: message, at: WallTime(seconds: 0)))
        let again = try Envelope.read(Envelope.write(retry, deliveryTag: "t"), queue: "q")
        #expect(again.body == message.body && again.id == "i" && again.retries == 1)
    }

    /// Celery's messages with bits turned over, cut off or doubled in part.
    @Test func damagedMessagesAreDefectsOrOtherMessages() throws {
        var random = SeededGenerator()
        let goldens = try GoldenMessage.cases(of: "sent").map { $0.bytes("raw") }
        var defects = 0
        for _ in 0..<3000 {
            var raw = goldens.randomElement(using: &random) ?? []
            switch Int.random(in: 0..<3, using: &random) {
            case 0: raw.removeLast(Int.random(in: 1..<raw.count, using: &random))
            case 1: raw[Int.random(in: raw.indices, using: &random)] ^= 1 << UInt8.random(in: 0..<8, using: &random)
            default:
                let start = Int.random(in: raw.indices, using: &random)
                raw.insert(contentsOf: raw[start..<min(raw.count, start + 20)], at: Int.random(in: raw.indices, using: &random))
            }
            do {
                let message = try Envelope.read(raw, queue: "q")
                #expect(!message.id.isEmpty && !message.name.isEmpty && (0...9).contains(message.priority), "seed \(random.seed)")
                #expect((try? JSONValue(parsing: message.headers))?.object != nil, "seed \(random.seed)")
                if let retry = TaskPublication.retry(of: message, at: WallTime(seconds: 1)) {
                    #expect((try? JSONValue(parsing: Envelope.write(retry, deliveryTag: "t"))) != nil, "seed \(random.seed)")
                }
            } catch {
                defects += 1
            }
        }
        #expect(defects > 500, "seed \(random.seed)")
    }
}
