import CoppiceAMQP
import CoppiceShared
import CoppiceSystem
import CoppiceTransport
import Testing

/// How a connection is made: over TLS, to the server of a list that serves, and why not.
@Suite(.ownThread) struct AMQPConnectionTests {
    private let fixture: RabbitMQFixture
    private let server: RabbitMQServer

    init() throws {
        fixture = try RabbitMQFixture()
        server = fixture.server
    }

    private var host: String { fixture.url.servers[0].virtualHost }

    /// nil if a session stands; else why not.
    private func failure(_ url: String) throws -> String? {
        let stage = Stage()
        let carrier = AMQPCarrier(
            try AMQPURL(url), queues: ["celery"], node: "celery@test", incarnation: Incarnation(), prefetch: 10, largestMessage: 1 << 24)
        let seat = SessionSeat(stage, LedgeredSession(bare: carrier), incarnation: Incarnation())
        return try stage.wait("an end") { () -> String?? in
            seat.seat.popFirst { event -> String?? in
                switch event {
                case .standing: .some(nil)
                case .lost(let reason): .some(reason)
                default: nil
                }
            }
        }
    }

    @Test func tlsIsVerified() throws {
        let url = "amqps://localhost:\(server.tlsPort)/\(host)"
        #expect(try failure(url + "?ssl_ca_certs=\(server.authority)") == nil)
        #expect(try failure(url + "?ssl_cert_reqs=none") == nil)
        #expect(try failure(url)?.contains("ssl_ca_certs") == true)
        #expect(try failure("amqps://localhost:\(server.port)/\(host)?ssl_cert_reqs=none") != nil)
        #expect(try failure("amqp://localhost:\(server.tlsPort)/\(host)") != nil)
    }

    @Test(arguments: [false, true]) func largeMessagesGoThrough(overTLS: Bool) throws {
        let url = overTLS ? try AMQPURL("amqps://localhost:\(server.tlsPort)/\(host)?ssl_ca_certs=\(server.authority)") : fixture.url
        let stage = Stage()
        let sender = AMQPMessageSender(url)
        let sending = stage.add(sender) { sender.takeEvents() }
        for id in ["1", "2"] { sender.publish(.named(id, padding: 3_000_000)) }
        for _ in 0..<2 { try sending.next("sent") { if case .sent = $0 { true } else { nil } } }
        let carrier = AMQPCarrier(
            url, queues: ["celery"], node: "celery@test", incarnation: Incarnation(), prefetch: 10, largestMessage: 1 << 24)
        let seat = try SessionSeat(stage, LedgeredSession(bare: carrier), incarnation: Incarnation()).stand()
        let taken = try seat.takeAll(2)
        #expect(taken.map(\.id) == ["1", "2"])
        #expect(taken.allSatisfy { $0.size > 3_000_000 })
        for message in taken { #expect(try seat.commit(message, .conclude)) }
    }

    @Test func theNextServerOfAListIsTried() throws {
        let dead = try FreePort.next()
        let good = "127.0.0.1:\(server.port)/\(host)"
        #expect(try failure("amqp://127.0.0.1:\(dead)/\(host);amqp://\(good)") == nil)
        #expect(try failure("amqp://nobody:wrong@\(good);amqp://\(good)") == nil)
        let reason = try failure("amqp://127.0.0.1:\(dead)/\(host);amqp://nobody:wrong@\(good)") ?? ""
        #expect(reason.contains("refuses the user nobody") && !reason.contains("wrong@"))
    }

    @Test func whatIsWrongIsSaid() throws {
        #expect(try failure("amqp://guest:s3cret@127.0.0.1:\(server.port)/\(host)")?.contains("refuses the user guest") == true)
        #expect(try failure("amqp://127.0.0.1:\(server.port)/no-such")?.contains("virtual host no-such") == true)
    }
}
