import CoppiceAMQP
import CoppiceDial
import CoppiceTLS
import Testing

@Suite struct AMQPURLTests {
    private struct Case: Sendable, CustomTestStringConvertible {
        var text: String
        var host = "localhost"
        var port: UInt16 = 5672
        var user = "guest"
        var password = "guest"
        var virtualHost = "/"
        var testDescription: String { text }
    }

    private static let cases = [
        Case(text: "amqp://"), Case(text: "amqp://localhost"), Case(text: "amqp:///"), Case(text: "amqp://localhost//"),
        Case(text: "amqp://h:1/", host: "h", port: 1), Case(text: "pyamqp://h//", host: "h"), Case(text: "h", host: "h"),
        Case(text: "librabbitmq://h", host: "h"), Case(text: "u:p@h", host: "h", user: "u", password: "p"),
        Case(text: "amqp://u:p@h:99/vh", host: "h", port: 99, user: "u", password: "p", virtualHost: "vh"),
        Case(text: "amqp://h/%2F", host: "h"), Case(text: "amqp://h/%2Ffoo", host: "h", virtualHost: "/foo"),
        Case(text: "amqp://h//foo", host: "h", virtualHost: "/foo"), Case(text: "amqp://[::1]:7/v", host: "::1", port: 7, virtualHost: "v"),
        Case(text: "amqp://u%40x:p%2F%3A%25@h/v%20w", host: "h", user: "u@x", password: "p/:%", virtualHost: "v w"),
        Case(text: "amqp://u@h", host: "h", user: "u"), Case(text: "amqp://u:@h", host: "h", user: "u", password: ""),
    ]

    @Test(arguments: cases) private func oneServer(_ one: Case) throws {
        let url = try AMQPURL(one.text)
        let endpoint = StreamEndpoint(.tcp(host: one.host, port: one.port))
        #expect(url.servers == [.init(endpoint: endpoint, user: one.user, password: one.password, virtualHost: one.virtualHost)])
        #expect(url.heartbeat == AMQPURL.standardHeartbeat)
    }

    @Test func aListFailsOver() throws {
        let url = try AMQPURL("amqps://a/v?ssl_cert_reqs=none&heartbeat=3;amqp://u:p@b:5/w;c")
        #expect(url.servers.map(\.endpoint.description) == ["a:5671", "b:5", "c:5672"])
        #expect(url.servers.map(\.virtualHost) == ["v", "w", "/"])
        #expect(url.servers.map { $0.endpoint.tls?.verification } == [TLSSettings.Verification.none, nil, nil])
        #expect(url.heartbeat == 3)
    }

    @Test func passwordsAreNotShown() throws {
        let url = try AMQPURL("amqps://user:s3cret@h/vh;amqp://:s3cret@g//x")
        #expect(!url.description.contains("s3cret"))
        #expect(url.description == "amqps://user:**@h:5671/vh;amqp://g:5672//x")
    }

    @Test(
        arguments: [
            "redis://h", "amqp://h:0", "amqp://h:x", "amqp://s3cret:h", "amqp://h:1:2", "amqp://u:s3cret%@h", "amqp://u:s3cret%zz@h",
            "amqp://h?s3cret=1", "amqp://h?heartbeat=-1", "amqp://h?ssl_cert_reqs=none", "amqps://h?ssl_cert_reqs=s3cret",
            "amqp://h?login_method=EXTERNAL", "amqp://h;redis://g", "amqp://%ff",
        ])
    func whatIsWrongIsSaidWithoutThePassword(_ text: String) {
        let error = #expect(throws: AMQPURL.Malformed.self) { try AMQPURL(text) }
        #expect(error.map { !$0.description.contains("s3cret") } == true)
    }
}
