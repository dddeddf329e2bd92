import CoppiceRedis
import CoppiceShared
import CoppiceSystem
import CoppiceTransport
import Foundation
import Testing

/// Lists of servers, and Sentinels: which server a connection comes to.
@Suite(.ownThread) struct RedisFailoverTests {
    private let folder: TemporaryFolder
    private let ports: [UInt16]

    init() throws {
        folder = try TemporaryFolder()
        ports = [try FreePort.next(), try FreePort.next()]
    }

    private func start(_ index: Int, _ more: String...) throws -> RedisProcess {
        try RedisProcess(folder, ["--port", "\(ports[index])", "--bind", "127.0.0.1", "--repl-diskless-sync-delay", "0"] + more)
    }

    private func list(_ parameters: String = "") throws -> RedisURL {
        try RedisURL("redis://127.0.0.1:\(ports[0])/0;redis://127.0.0.1:\(ports[1])/0\(parameters)")
    }

    /// The port of the server that answers.
    private func server(_ url: RedisURL) throws -> UInt16 {
        let reply = try url.ask(RedisCommand("CONFIG", "GET", "port")).array ?? []
        return reply.count == 2 ? reply[1].text.flatMap { UInt16($0) } ?? 0 : 0
    }

    @Test func aServerThatIsDownIsPassedBy() throws {
        let second = try start(1)
        let url = try list()
        #expect(try server(url) == ports[1])
        let first = try start(0)
        #expect(try server(url) == ports[1], "the next connection begins where the last one went well")
        #expect(try server(try list()) == ports[0])
        second.kill()
        #expect(try server(url) == ports[0])
        first.kill()
        #expect { try url.ask(RedisCommand("PING")) } throws: { "\($0)".contains(":\(ports[0]): ") && "\($0)".contains(":\(ports[1]): ") }
    }

    @Test func aReplicaIsPassedBy() throws {
        let primary = try start(1)
        let replica = try start(0, "--replicaof", "127.0.0.1 \(ports[1])")
        #expect(try server(try list()) == ports[1])
        primary.kill()
        #expect { try list().ask(RedisCommand("PING")) } throws: { "\($0)".contains("a read-only replica") }
        replica.kill()
    }

    @Test func aServerThatRefusesThePasswordIsPassedBy() throws {
        let (first, second) = (try start(0, "--requirepass", "other"), try start(1))
        #expect(try server(try list()) == ports[1])
        first.kill()
        second.kill()
    }

    /// A connection that falls tells the next one to begin elsewhere.
    @Test func whatIsLostIsNotTriedFirst() throws {
        let (first, second) = (try start(0), try start(1))
        let url = try list()
        let stage = Stage()
        let connection = RedisConnection(url, clientName: "test", now: .now)
        let seat = stage.add(connection) { connection.takeEvents() }
        try seat.next("open") { if case .open = $0 { true } else { nil } }
        connection.send(RedisCommand("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "no"), label: 1, now: .now)
        connection.flush()
        try seat.next("lost") { if case .lost = $0 { true } else { nil } }
        #expect(try server(url) == ports[1])
        first.kill()
        second.kill()
    }

    @Test func bothConnectionsOfASessionComeToOneServer() throws {
        let second = try start(1)
        let url = try list()
        let incarnation = Incarnation()
        let session = RedisBrokerSession(
            url, results: url, resultExpiry: 60, queues: ["celery"], node: "celery@test", incarnation: incarnation, holding: [])
        let stage = Stage()
        let seat = try SessionSeat(stage, session, incarnation: incarnation).stand()
        #expect(try seat.close() == "closed")
        second.kill()
    }

    // MARK: Sentinel

    private func sentinel(_ more: String = "", of master: UInt16? = nil) throws -> (process: RedisProcess, port: UInt16) {
        let port = try FreePort.next()
        let file = folder.file("sentinel-\(port).conf")
        let settings = """
            port \(port)
            bind 127.0.0.1
            dir \(folder.path)
            sentinel monitor mymaster 127.0.0.1 \(master ?? ports[0]) 1
            sentinel down-after-milliseconds mymaster 300
            sentinel failover-timeout mymaster 2000
            \(more)
            """
        try settings.write(toFile: file, atomically: false, encoding: .utf8)
        return (try RedisProcess(folder, [], sentinelFile: file), port)
    }

    @Test func aFailoverEndsInANewConnection() throws {
        let primary = try start(0)
        let replica = try start(1, "--replicaof", "127.0.0.1 \(ports[0])")
        let (process, port) = try sentinel()
        // One that is down stands first.
        let url = try RedisURL("sentinel://127.0.0.1:\(try FreePort.next())/0;sentinel://127.0.0.1:\(port)/0?master_name=mymaster")
        let stage = Stage()
        let incarnation = Incarnation()
        func session() -> SessionSeat {
            let session = RedisBrokerSession(
                url, results: url, resultExpiry: 60, queues: ["celery"], node: "celery@test", incarnation: incarnation, holding: [])
            return SessionSeat(stage, session, incarnation: incarnation)
        }
        let first = try session().stand()
        #expect(try server(url) == ports[0])
        // The Sentinel must have seen the replica before it can put it in the primary's place.
        let watcher = RedisURL(endpoint: .tcp(host: "127.0.0.1", port: port))
        try stage.wait("the replica's discovery") {
            let replicas = try? watcher.ask(RedisCommand("SENTINEL", "REPLICAS", "mymaster")).array
            return replicas?.isEmpty == false ? true : nil
        }
        let start = MonotonicTime.now
        primary.kill()
        _ = try first.lost()
        stage.leave(first.seat)
        var stands = false
        while !stands, MonotonicTime.now.seconds(since: start) < 15 {
            let next = session()
            stands = try next.seat.next("standing or lost") {
                switch $0 {
                case .standing: true
                case .lost: false
                default: nil
                }
            }
            stage.leave(next.seat)
        }
        #expect(try server(url) == ports[1])
        #expect(MonotonicTime.now.seconds(since: start) < 8)
        replica.kill()
        process.kill()
    }

    @Test func aSentinelWithAnOldViewIsPassedBy() throws {
        let primary = try start(0)
        let old = try sentinel(of: FreePort.next())
        let new = try sentinel()
        let url = try RedisURL("sentinel://127.0.0.1:\(old.port)/0;sentinel://127.0.0.1:\(new.port)/0?master_name=mymaster")
        #expect(throws: DidNotCome.self) { try server(url) }
        #expect(try server(url) == ports[0])
        #expect(try server(url) == ports[0], "the next one begins with the one that knew")
        for process in [old.process, new.process, primary] { process.kill() }
    }

    /// What it takes for the master may have become a replica.
    @Test func aSentinelThatNamesAReplicaIsPassedBy() throws {
        let primary = try start(0)
        let replica = try start(1, "--replicaof", "127.0.0.1 \(ports[0])")
        let old = try sentinel(of: ports[1])
        let new = try sentinel()
        let url = try RedisURL("sentinel://127.0.0.1:\(old.port)/0;sentinel://127.0.0.1:\(new.port)/0?master_name=mymaster")
        #expect(throws: DidNotCome.self) { try server(url) }
        #expect(try server(url) == ports[0])
        for process in [old.process, new.process, replica, primary] { process.kill() }
    }

    @Test func theSentinelsHaveAPasswordOfTheirOwn() throws {
        let primary = try start(0, "--requirepass", "hunter2")
        let (process, port) = try sentinel("requirepass sesame\nsentinel auth-pass mymaster hunter2")
        let base = "sentinel://:hunter2@127.0.0.1:\(port)/0"
        #expect(try server(try RedisURL(base + "?master_name=mymaster&sentinel_password=sesame")) == ports[0])
        func failure(_ parameters: String) throws -> String {
            do { return try RedisURL(base + parameters).ask(RedisCommand("PING")).text ?? "" } catch let error as DidNotCome {
                return error.seen
            }
        }
        #expect(try failure("?master_name=mymaster").contains("password"))
        #expect(try failure("?master_name=other&sentinel_password=sesame").contains("no master 'other'"))
        process.kill()
        primary.kill()
    }
}
