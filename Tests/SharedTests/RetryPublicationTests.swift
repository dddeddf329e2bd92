import CoppiceShared
import CoppiceTestSupport
import Testing

/// What a retry publishes (celery-wire §6.5): the same message once more, later.
@Suite struct RetryPublicationTests {
    @Test(arguments: try GoldenMessage.cases(of: "sent")) func allElseStays(_ golden: GoldenMessage) throws {
        let message = try Envelope.read(golden.bytes("raw"), queue: "q")
        let eta = WallTime(microseconds: 1_900_000_000_000_001)
        let publication = try #require(TaskPublication.retry(of: message, at: eta))
        var expected = try #require(try JSONValue(parsing: message.headers).object)
        expected["retries"] = .int(message.retries + 1)
        expected["eta"] = "2030-03-17T17:46:40.000001+00:00"
        // A task that has no parent is its own child's.
        expected["parent_id"] = .string(message.id)
        #expect(try JSONValue(parsing: publication.headers) == .object(expected))

        let again = try Envelope.read(Envelope.write(publication, deliveryTag: "t"), queue: "q")
        var same = message
        same.retries += 1
        same.eta = eta
        same.parentID = message.id
        same.headers = again.headers
        #expect(again == same)
    }

    @Test func aParentStays() throws {
        let headers = Array(#"{"id": "i", "task": "t", "parent_id": "p", "retries": 4, "x-my": [1]}"#.utf8)
        var message = TaskMessage(
            id: "i", name: "t", headers: headers, contentType: "x/y", routingKey: "k", body: [1, 2], bodyIsBase64: false)
        message.retries = 4
        let publication = try #require(TaskPublication.retry(of: message, at: WallTime(seconds: 0)))
        #expect(
            String(decoding: publication.headers, as: UTF8.self)
                == #"{"id": "i", "task": "t", "parent_id": "p", "retries": 5, "x-my": [1], "eta": "1970-01-01T00:00:00+00:00"}"#)
        #expect(publication.correlationID == "i", "what has none gets its id")
        #expect(publication.contentType == "x/y" && publication.contentEncoding == "utf-8")
        #expect(publication.body == [1, 2] && !publication.bodyIsBase64 && publication.routingKey == "k")
    }

    @Test(arguments: ["", "{", "[]", "null"]) func withoutHeadersThereIsNone(_ headers: String) {
        let message = TaskMessage(
            id: "i", name: "t", headers: Array(headers.utf8), contentType: "x/y", routingKey: "k", body: [], bodyIsBase64: false)
        #expect(TaskPublication.retry(of: message, at: WallTime(seconds: 0)) == nil)
    }
}
