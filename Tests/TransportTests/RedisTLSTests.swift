import CoppiceRedis
import CoppiceShared
import CoppiceSystem
import CoppiceTransport
import Foundation
import Testing

@testable import CoppiceTLS

/// A Redis that speaks TLS, and what becomes of connections that are not as they should be.
@Suite(.ownThread) struct RedisTLSTests {
    private final class Server {
        let folder: TemporaryFolder
        let trusted: Certificates
        let stranger: Certificates
        let port: UInt16
        let process: RedisProcess

        init(clientsShow: String = "no") throws {
            folder = try TemporaryFolder()
            trusted = try Certificates(folder)
            stranger = try Certificates(folder, name: "other")
            port = try FreePort.next()
            process = try RedisProcess(
                folder,
                [
                    "--port", "0", "--tls-port", "\(port)", "--bind", "127.0.0.1", "--tls-cert-file", trusted.certificate, "--tls-key-file",
                    trusted.key, "--tls-ca-cert-file", trusted.authority, "--tls-auth-clients", clientsShow,
                ])
        }

        func url(_ parameters: String, host: String = "localhost", scheme: String = "rediss") throws -> RedisURL {
            try RedisURL("\(scheme)://\(host):\(port)/0\(parameters)")
        }

        /// PING over a connection of this URL: the answer, or why there is none.
        func ping(_ parameters: String, host: String = "localhost", scheme: String = "rediss") throws -> String {
            do { return try url(parameters, host: host, scheme: scheme).ask(RedisCommand("PING")).text ?? "?" } catch let error
                as DidNotCome
            {
                return error.seen
            }
        }
    }

    @Test func theChainAndTheNameAreVerified() throws {
        let server = try Server()
        let ca = "?ssl_ca_certs=\(server.trusted.authority)"
        #expect(try server.ping(ca) == "PONG")
        #expect(try server.ping(ca, host: "127.0.0.1") == "PONG")
        #expect(try server.ping("?ssl_cert_reqs=none") == "PONG")
        #expect(try server.ping("").contains("ssl_ca_certs"))
        #expect(try server.ping("?ssl_ca_certs=\(server.stranger.authority)").contains("not trusted"))
        #expect(try server.ping("?ssl_ca_certs=\(server.folder.path)/none").contains("ssl_ca_certs"))
        #expect(try server.ping("", scheme: "redis") != "PONG")
    }

    @Test func aCertificateForAnotherHostIsRefused() throws {
        let folder = try TemporaryFolder()
        let certificates = try Certificates(folder)
        let port = try FreePort.next()
        let process = try RedisProcess(
            folder,
            [
                "--port", "0", "--tls-port", "\(port)", "--bind", "127.0.0.2", "--tls-cert-file", certificates.certificate,
                "--tls-key-file",
                certificates.key, "--tls-ca-cert-file", certificates.authority, "--tls-auth-clients", "no",
            ])
        let url = "rediss://127.0.0.2:\(port)/0?ssl_ca_certs=\(certificates.authority)"
        #expect { try RedisURL(url).ask(RedisCommand("PING")) } throws: { "\($0)".contains("is not for 127.0.0.2") }
        #expect(try RedisURL(url + "&ssl_check_hostname=false").ask(RedisCommand("PING")).text == "PONG")
        process.kill()
    }

    @Test func aClientShowsItsCertificate() throws {
        let server = try Server(clientsShow: "yes")
        let ca = "?ssl_ca_certs=\(server.trusted.authority)"
        #expect(try server.ping(ca).contains("client certificate"))
        #expect(try server.ping(ca + "&ssl_certfile=\(server.trusted.certificate)&ssl_keyfile=\(server.trusted.key)") == "PONG")
        let refused = try server.ping(ca + "&ssl_certfile=\(server.stranger.certificate)&ssl_keyfile=\(server.stranger.key)")
        #expect(refused.contains("client certificate that it trusts"), "\(refused)")
        #expect(
            try server.ping(ca + "&ssl_certfile=\(server.trusted.certificate)&ssl_keyfile=\(server.stranger.key)").contains("ssl_keyfile"))
    }

    @Test func filesAreReadAgainOnlyWhenTheyHaveChanged() throws {
        let server = try Server()
        let authority = server.folder.file("authority")
        func put(_ path: String) throws { try Data(contentsOf: URL(filePath: path)).write(to: URL(filePath: authority)) }
        var settings = TLSSettings()
        settings.authorities = authority
        var contexts: [TLSContext] = []
        for (file, isTrusted) in [(server.trusted.authority, true), (server.stranger.authority, false), (server.trusted.authority, true)] {
            try put(file)
            #expect((try server.ping("?ssl_ca_certs=\(authority)") == "PONG") == isTrusted)
            contexts.append(try TLSContext.of(settings))
            #expect(try TLSContext.of(settings) === contexts.last)
        }
        #expect(contexts[0] !== contexts[1] && contexts[1] !== contexts[2])
    }

    @Test func aServerWithoutTLSIsTold() throws {
        let folder = try TemporaryFolder()
        let port = try FreePort.next()
        let process = try RedisProcess(folder, ["--port", "\(port)", "--bind", "127.0.0.1"])
        #expect { try RedisURL("rediss://127.0.0.1:\(port)").ask(RedisCommand("PING")) } throws: { "\($0)".contains("speak TLS") }
        process.kill()
    }

    /// Every size of a record's and a read's ends, and far more than a socket holds.
    @Test func longCommandsAndRepliesPass() throws {
        let server = try Server()
        let url = try server.url("?ssl_ca_certs=\(server.trusted.authority)")
        let stage = Stage()
        let connection = RedisConnection(url, clientName: "test", now: .now)
        let seat = stage.add(connection) { connection.takeEvents() }
        try seat.next("open") { if case .open = $0 { true } else { nil } }
        let sizes = [1, 100, 16_383, 16_384, 16_385, 65_535, 65_536, 131_072, 131_073, 300_000, 8 << 20]
        for size in sizes {
            let value = (0..<size).map { UInt8(truncatingIfNeeded: $0 &* 31 &+ size) }
            var command = RedisCommand("ECHO")
            command.append(value)
            connection.send(command, label: size, now: .now)
            connection.flush()
            let reply = try seat.next("echo") { if case .reply(size, let reply) = $0 { reply } else { nil } }
            #expect(reply.bytes == value)
        }
        // Many at once, in order.
        for label in 0..<2000 {
            var command = RedisCommand("ECHO")
            command.append([UInt8](repeating: UInt8(label & 255), count: label))
            connection.send(command, label: label, now: .now)
        }
        connection.flush()
        for label in 0..<2000 {
            let reply = try seat.next("echo") { if case .reply(label, let reply) = $0 { reply } else { nil } }
            #expect(reply.bytes?.count == label)
        }
    }

    @Test func aSessionWorksOverTLS() throws {
        let server = try Server()
        let url = try server.url("?ssl_ca_certs=\(server.trusted.authority)")
        let stage = Stage()
        let incarnation = Incarnation()
        let session = RedisBrokerSession(
            url, results: url, resultExpiry: 60, queues: ["celery"], node: "celery@test", incarnation: incarnation, holding: [])
        let seat = try SessionSeat(stage, session, incarnation: incarnation).stand()
        let sender = RedisMessageSender(url)
        let sending = stage.add(sender) { sender.takeEvents() }
        try sending.next("standing") { if case .standing = $0 { true } else { nil } }
        sender.publish(.named("1"))
        let message = try #require(try seat.takeAll(1).first)
        #expect(message.id == "1")
        #expect(try seat.commit(message, .conclude, writes: [.named("1", .success)]))
        #expect(try url.ask(RedisCommand("EXISTS", "celery-task-meta-1")).integer == 1)
    }
}
