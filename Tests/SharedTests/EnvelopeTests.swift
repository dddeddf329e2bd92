import CoppiceShared
import CoppiceTestSupport
import Testing

@Suite struct EnvelopeTests {
    private static let goldens = Result { try GoldenMessage.cases(of: "sent") }

    /// Python's reader would see this; the members that it leaves to the reader's memory are compared one by one.
    @Test(arguments: try goldens.get()) func celerysMessagesAreRead(_ golden: GoldenMessage) throws {
        let theirs = try JSONValue(parsing: golden.bytes("raw"))
        let message = try Envelope.read(golden.bytes("raw"), queue: "elsewhere")
        let headers = try #require(theirs["headers"])
        #expect(message.id == headers["id"]?.string)
        #expect(message.name == headers["task"]?.string)
        #expect(message.retries == headers["retries"]?.int)
        #expect(message.eta == headers["eta"]?.string.flatMap(ISO8601.parse))
        #expect(message.expires == headers["expires"]?.string.flatMap(ISO8601.parse))
        #expect(message.hardTimeLimit == headers["timelimit"]?.array?[0].double)
        #expect(message.softTimeLimit == headers["timelimit"]?.array?[1].double)
        #expect(message.ignoreResult == headers["ignore_result"]?.bool)
        #expect(message.group == headers["group"]?.string)
        #expect(message.parentID == headers["parent_id"]?.string)
        #expect(message.shadow == headers["shadow"]?.string)
        #expect(message.displayName == headers["shadow"]?.string ?? headers["task"]?.string)
        #expect(message.compression == headers["compression"]?.string)
        #expect(try JSONValue(parsing: message.headers) == headers, "as they came")
        #expect(message.contentType == "application/json" && message.contentEncoding == "utf-8")
        let properties = try #require(theirs["properties"])
        #expect(message.correlationID == properties["correlation_id"]?.string)
        #expect(message.replyTo == properties["reply_to"]?.string)
        #expect(message.priority == properties["priority"]?.int)
        #expect(message.routingKey == "celery" && message.exchange == "" && !message.redelivered)
        #expect(message.bodyIsBase64)
        #expect(message.body == Array((theirs["body"]?.string ?? "").utf8))
    }

    @Test func theGoldensHaveWhatTheySay() throws {
        func message(_ name: String) throws -> TaskMessage {
            try Envelope.read(GoldenMessage.one(name, of: "sent").bytes("raw"), queue: "q")
        }
        let eta = ISO8601.parse("2030-01-02T03:04:05.678901+00:00")
        #expect(eta != nil)
        for name in ["eta", "eta without a zone", "eta of Shanghai"] { #expect(try message(name).eta == eta) }
        #expect(try message("expires").expires != nil)
        #expect(try message("priority").priority == 5)
        #expect(try message("limits").hardTimeLimit == 30)
        #expect(try message("limits").softTimeLimit == 20.5)
        #expect(try message("ignored result").ignoreResult == true)
        #expect(try message("compressed").compression == "application/x-gzip")
        #expect(try message("shadow").displayName == "shadowed")
        #expect(try message("shadow").retries == 1)
        let body = try #require(Base64.decode(try message("unicode").body))
        #expect(try JSONValue(parsing: body).array?.first == ["Grüße 🌲", #"it's "so" \"#])
    }

    /// A message that is sent on as it is: what Celery's own would be, but for the tag and what only the first sender knows.
    @Test(arguments: try goldens.get()) func whatIsWrittenIsCelerysEnvelope(_ golden: GoldenMessage) throws {
        let message = try Envelope.read(golden.bytes("raw"), queue: "q")
        var publication = TaskPublication(
            routingKey: message.routingKey, headers: message.headers, body: message.body, bodyIsBase64: message.bodyIsBase64)
        publication.exchange = message.exchange
        publication.contentType = message.contentType
        publication.correlationID = message.correlationID
        publication.replyTo = message.replyTo
        publication.priority = message.priority
        let theirs = try JSONValue(parsing: golden.bytes("raw"))
        let tag = try #require(theirs["properties"]?["delivery_tag"]?.string)
        let written = Envelope.write(publication, deliveryTag: tag)
        var expected = try #require(theirs.object)
        var properties = try #require(theirs["properties"]?.object)
        properties["expiration"] = nil
        expected["properties"] = .object(properties)
        #expect(try JSONValue(parsing: written) == .object(expected))
        #expect(try Envelope.read(written, queue: "q") == message)
    }

    @Test(arguments: try GoldenMessage.cases(of: "control")) func controlMessages(_ golden: GoldenMessage) throws {
        let theirs = try JSONValue(parsing: golden.bytes("reply_raw"))
        let ticket = try #require(theirs["headers"]?["ticket"]?.string)
        let place = try #require(theirs["properties"]?["delivery_info"])
        let body = try #require(Envelope.controlBody(golden.bytes("reply_raw")))
        #expect(try JSONValue(parsing: body) == golden["reply"].array?.first)
        let reply = ControlReply(
            exchange: place["exchange"]?.string ?? "", routingKey: place["routing_key"]?.string ?? "", ticket: ticket, body: body)
        let written = try JSONValue(parsing: Envelope.write(reply))
        for member in ["body", "content-type", "content-encoding"] { #expect(written[member] == theirs[member]) }
        #expect(written["headers"]?["ticket"]?.string == ticket)
        #expect(written["properties"]?["delivery_info"] == place)
        #expect(written["properties"]?["body_encoding"] == "base64")
    }

    @Test func aBroadcastComesBack() throws {
        let body = Array(#"{"method": "ping", "ü": 1}"#.utf8)
        #expect(Envelope.controlBody(Envelope.write(control: body, deliveryTag: "t")) == body)
        #expect(Envelope.controlBody(Array(#"{"body": "{}", "properties": {}}"#.utf8)) == Array("{}".utf8))
        for none in ["", "5", "{}", #"{"body": 5}"#, #"{"body": "*", "properties": {"body_encoding": "base64"}}"#] {
            #expect(Envelope.controlBody(Array(none.utf8)) == nil)
        }
    }
}
