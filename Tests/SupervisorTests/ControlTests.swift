import CoppiceShared
import CoppiceTestSupport
import Glibc
import Testing

@testable import CoppiceSupervisor

/// Requests as Celery sends them, and the answers that its own worker gave (Tests/golden/control.json).
@Suite struct ControlTests {
    private final class Orders {
        var given: [(ids: [String], signal: Int32?)] = []
        var running: Set<String> = []
        var quiet: [Bool] = []
        var stops = false

        func panel(_ node: String) -> ControlPanel {
            ControlPanel(
                node: node,
                quiet: { [self] in
                    quiet.append($0)
                    return $0 || !stops
                },
                revoke: { [self] ids, signal in
                    given.append((ids, signal))
                    return signal == nil ? [] : ids.filter(running.contains)
                }, status: { "ready: 2/2 children ready" }, runTimes: { RunTimes() }, id: "me")
        }
    }

    private func request(_ text: String) throws -> ControlRequest { try #require(ControlRequest(Array(text.utf8))) }

    private func answer(_ text: String, running: Set<String> = []) throws -> (JSONValue?, Orders) {
        let orders = Orders()
        orders.running = running
        return (orders.panel("celery@me").answer(try request(text)), orders)
    }

    @Test(arguments: try GoldenMessage.cases(of: "control")) func answersAsCelerysWorker(_ golden: GoldenMessage) throws {
        let body = try #require(Envelope.controlBody(golden.bytes("request")))
        let request = try #require(ControlRequest(body))
        let answer = try #require(Orders().panel("golden@local").answer(request))
        #expect(golden["reply"] == [.object(["golden@local": answer])])
        // The reply's way: where Celery's own went, under the same ticket.
        let theirs = try JSONValue(parsing: golden.bytes("reply_raw"))
        #expect(theirs["headers"]?["ticket"]?.string == request.replyTo?.ticket)
        #expect(theirs["properties"]?["delivery_info"]?["exchange"]?.string == request.replyTo?.exchange)
        #expect(theirs["properties"]?["delivery_info"]?["routing_key"]?.string == request.replyTo?.routingKey)
    }

    @Test(arguments: [
        ("null", "null", "null", true), ("[]", "null", "null", true), (#"["celery@me"]"#, "null", "null", true),
        (#"["x", "celery@me"]"#, "null", "null", true), (#"["celery@you"]"#, "null", "null", false),
        ("null", #""celery@*""#, #""glob""#, true), ("null", #""*@you""#, #""glob""#, false),
        // The pattern counts only with a matcher, and only if no node is named.
        ("null", #""*@you""#, "null", true), (#"["celery@me"]"#, #""*@you""#, #""glob""#, true),
        (#"["celery@you"]"#, #""*""#, #""glob""#, false), ("null", #"".*""#, #""pcre""#, false),
        // Python's `in` and truthiness.
        (#""celery@me""#, "null", "null", true), (#""celery@you""#, "null", "null", false), ("[5]", "null", "null", false),
        ("5", "null", "null", false), ("0", "null", "null", true), (#""""#, "null", "null", true),
        (#"{"celery@me": 1}"#, "null", "null", true), ("null", "5", #""glob""#, false), ("null", #""""#, #""glob""#, true),
    ])
    func whomItConcerns(_ destination: String, _ pattern: String, _ matcher: String, _ concerns: Bool) throws {
        let text = #"{"method": "ping", "destination": \#(destination), "pattern": \#(pattern), "matcher": \#(matcher)}"#
        #expect(try request(text).concerns("celery@me") == concerns)
        #expect(try answer(text).0 == (concerns ? ["ok": "pong"] : nil))
    }

    @Test func whatIsForOthersDoesNothing() throws {
        let (value, orders) = try answer(#"{"method": "revoke", "arguments": {"task_id": "a"}, "destination": ["celery@you"]}"#)
        #expect(value == nil && orders.given.isEmpty)
    }

    @Test(
        arguments: [
            (#""a""#, "", ["a"], nil, "tasks {'a'} flagged as revoked"),
            (#"["a", "b"]"#, "", ["a", "b"], nil, "tasks {'a', 'b'} flagged as revoked"),
            (#""a""#, #", "terminate": true"#, ["a"], SIGTERM, "terminate: tasks unknown"),
            (#""r""#, #", "terminate": true, "signal": null"#, ["r"], SIGTERM, "terminate: r"),
            (#"["a", "r"]"#, #", "terminate": true, "signal": "SIGKILL""#, ["a", "r"], SIGKILL, "terminate: r"),
            (#""r""#, #", "terminate": true, "signal": 9"#, ["r"], SIGKILL, "terminate: r"),
            (#""a""#, #", "terminate": null"#, ["a"], nil, "tasks {'a'} flagged as revoked"),
            // As Flower sends it.
            (#""r""#, #", "terminate": 1, "signal": "SIGTERM""#, ["r"], SIGTERM, "terminate: r"),
            (#""r""#, #", "terminate": 1.0, "signal": """#, ["r"], SIGTERM, "terminate: r"),
            (#""r""#, #", "terminate": "x", "signal": "TERM""#, ["r"], SIGTERM, "terminate: r"),
            (#""r""#, #", "terminate": "False", "signal": 0"#, ["r"], SIGTERM, "terminate: r"),
            (#""r""#, #", "terminate": [0], "signal": 15"#, ["r"], SIGTERM, "terminate: r"),
            (#""a""#, #", "terminate": 0"#, ["a"], nil, "tasks {'a'} flagged as revoked"),
            (#""a""#, #", "terminate": """#, ["a"], nil, "tasks {'a'} flagged as revoked"),
            (#""a""#, #", "terminate": []"#, ["a"], nil, "tasks {'a'} flagged as revoked"),
        ] as [(String, String, [String], Int32?, String)])
    func revoke(_ id: String, _ more: String, _ ids: [String], _ signal: Int32?, _ text: String) throws {
        let (value, orders) = try answer(#"{"method": "revoke", "arguments": {"task_id": \#(id)\#(more)}}"#, running: ["r"])
        #expect(value == ["ok": .string(text)])
        #expect(orders.given.count == 1 && orders.given.first?.ids == ids && orders.given.first?.signal == signal)
    }

    @Test func terminateIsRevokeWithASignal() throws {
        let (value, orders) = try answer(#"{"method": "terminate", "arguments": {"signal": "KILL", "task_id": "r"}}"#, running: ["r"])
        #expect(value == ["ok": "terminate: r"])
        #expect(orders.given.first?.signal == SIGKILL)
    }

    @Test func aNodeSaysHowItIs() throws {
        #expect(
            try answer(#"{"method": "coppice_status"}"#).0 == ["v": 1, "id": "me", "ok": "ready: 2/2 children ready", "run_seconds": nil])
    }

    @Test func aNodeIsQuietUntilItIsToldOtherwise() throws {
        let (value, orders) = try answer(#"{"method": "coppice_quiet"}"#)
        #expect(value == ["v": 1, "id": "me", "ok": "takes no more messages"] && orders.quiet == [true])
        let (resumed, others) = try answer(#"{"method": "coppice_quiet", "arguments": {"resume": true}}"#)
        #expect(resumed == ["v": 1, "id": "me", "ok": "takes messages"] && others.quiet == [false])
        #expect(try answer(#"{"method": "coppice_quiet", "arguments": {"resume": 1}}"#).1.quiet == [false])
        let stopping = Orders()
        stopping.stops = true
        let refusal = stopping.panel("celery@me").answer(try request(#"{"method": "coppice_quiet", "arguments": {"resume": true}}"#))
        #expect(refusal == ["v": 1, "id": "me", "error": "it stops, and takes no more messages"])
        #expect(try answer(#"{"method": "coppice_quiet", "destination": ["celery@you"]}"#).1.quiet.isEmpty)
    }

    @Test func mistakesAreAnswered() throws {
        for arguments in ["{}", #"{"task_id": null}"#, #"{"task_id": 5}"#, #"{"task_id": {}}"#, "null", "[]"] {
            let (value, orders) = try answer(#"{"method": "revoke", "arguments": \#(arguments)}"#)
            #expect(value?["error"]?.string?.hasPrefix("TypeError(") == true && orders.given.isEmpty, "\(arguments)")
        }
        let (value, orders) = try answer(#"{"method": "revoke", "arguments": {"task_id": "a", "terminate": true, "signal": "NO"}}"#)
        #expect(value?["error"]?.string == "ValueError('unknown signal: NO')" && orders.given.isEmpty)
        #expect(try answer(#"{"method": "no"}"#).0 == ["error": "KeyError('no')"])
    }

    @Test(arguments: ["", "{", "null", "[]", "5", "{}", #"{"method": null}"#, #"{"method": 5}"#, #"{"arguments": {}}"#])
    func whatIsNoRequest(_ text: String) { #expect(ControlRequest(Array(text.utf8)) == nil) }

    @Test func aReplyNeedsAnAddress() throws {
        #expect(try request(#"{"method": "ping"}"#).replyTo == nil)
        #expect(try request(#"{"method": "ping", "ticket": "t", "reply_to": {"exchange": "e"}}"#).replyTo == nil)
        let reply = try request(#"{"method": "ping", "reply_to": {"exchange": "e", "routing_key": "k"}}"#).replyTo
        #expect(reply?.exchange == "e" && reply?.routingKey == "k" && reply?.ticket == "")
    }
}
