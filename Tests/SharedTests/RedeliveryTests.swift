import CoppiceShared
import Testing

@Suite struct RedeliveryTests {
    private static func marked(_ text: String) -> (String, Int)? {
        Envelope.redelivered(Array(text.utf8)).map { (String(decoding: $0.message, as: UTF8.self), $0.priority) }
    }

    @Test(arguments: [
        (
            #"{"body": "x", "headers": {"id": "1"}, "properties": {"priority": 7, "delivery_info": {"exchange": ""}}}"#,
            #"{"body": "x", "headers": {"redelivered": true, "id": "1"}, "properties": {"priority": 7, "delivery_info": {"redelivered": true, "exchange": ""}}}"#
        ),
        (
            #"{"properties":{"delivery_info":{}},"headers":{}}"#,
            #"{"properties":{"delivery_info":{"redelivered": true}},"headers":{"redelivered": true}}"#
        ),
        (
            #"{"headers":{"redelivered":false,"n":1e400},"properties":{"delivery_info":{"redelivered": null}}}"#,
            #"{"headers":{"redelivered":true,"n":1e400},"properties":{"delivery_info":{"redelivered": true}}}"#
        ),
        (
            // Those of the body, or of another object, are not meant.
            #"{"body": {"headers": {}}, "headers": {"delivery_info": {}, "x": {"redelivered": 1}}, "properties": {"delivery_info": {"a": [{"redelivered": 2}]}}}"#,
            #"{"body": {"headers": {}}, "headers": {"redelivered": true, "delivery_info": {}, "x": {"redelivered": 1}}, "properties": {"delivery_info": {"redelivered": true, "a": [{"redelivered": 2}]}}}"#
        ),
    ])
    func bothPlacesAreMarkedAndNothingElseChanges(_ text: String, _ wanted: String) throws {
        let found = try #require(Self.marked(text))
        #expect(found.0 == wanted)
        #expect(found.1 == (text.contains("priority") ? 7 : 0))
        #expect(Self.marked(wanted)?.0 == wanted, "twice is once")
    }

    @Test(arguments: [
        "", "[]", "null", "{}", #"{"headers":{},"properties":{}}"#, #"{"headers":null,"properties":{"delivery_info":{}}}"#,
        #"{"headers":{},"properties":{"delivery_info":[]}}"#, #"{"headers":{},"properties":{"delivery_info":{}}"#,
        #"{"headers":{},"properties":{"delivery_info":{}}} x"#,
    ])
    func whatIsNoEnvelopeIsLeft(_ text: String) { #expect(Self.marked(text) == nil) }

    @Test func anEntryIsTakenApart() throws {
        let found = try #require(Envelope.takeApart(Array(#"[{"a": [1, "]"]}, "ex", "a.b"]"#.utf8)))
        #expect(String(decoding: found.message, as: UTF8.self) == #"{"a": [1, "]"]}"#)
        #expect(found.exchange == "ex" && found.routingKey == "a.b")
        #expect(Envelope.takeApart(Array(#"[{},null,"q"]"#.utf8))?.exchange == "")
    }

    @Test(arguments: ["", "[]", "[{}]", #"[{},""]"#, #"["x","","q"]"#, #"[{},"",null]"#, #"[{},"","q",1]"#, #"[{},"","q"] "x""#, "x"])
    func whatIsNoEntryIsLeft(_ text: String) { #expect(Envelope.takeApart(Array(text.utf8)) == nil) }
}
