import CoppiceRedis
import CoppiceResults
import CoppiceShared
import CoppiceSystem
import CoppiceTransport
import Glibc

/// A Redis of the test's own: a server on a socket in the test's folder, which keeps nothing.
final class RedisFixture: BrokerFixture {
    private let folder: TemporaryFolder
    private let server: ChildProcess
    /// Kept open: the server goes on writing to it, less than a pipe holds.
    private let log: Descriptor
    let url: RedisURL

    init() throws {
        folder = try TemporaryFolder()
        let socket = folder.file("redis.sock")
        url = RedisURL(endpoint: .unix(path: socket))
        let arguments = [
            "env", "redis-server", "--port", "0", "--unixsocket", socket, "--save", "", "--appendonly", "no", "--dir", folder.path,
            "--maxmemory-policy", "noeviction",
        ]
        let nothing = try Descriptor.open("/dev/null", flags: O_RDONLY)
        let log = try Descriptor.pipe()
        let environment = CurrentProcess.environment.filter { $0.hasPrefix("PATH=") }
        server = try ChildProcess.spawn(
            path: "/usr/bin/env", arguments: arguments, environment: environment,
            descriptors: .init([nothing, log.write, log.write]))
        log.write.close()
        // The last of the properties: from here on deinit ends the server, even if this fails.
        self.log = log.read
        var said: [UInt8] = []
        while !String(decoding: said, as: UTF8.self).contains("ready to accept connections at") {
            let ready = try Poll.wait(
                [PollInterest(descriptor: log.read.raw, events: .read)], until: MonotonicTime.now.advanced(by: 10))
            guard !ready.isEmpty, case .bytes(let bytes) = try log.read.read(upTo: 4096) else {
                throw DidNotCome(what: "redis-server", seen: String(decoding: said, as: UTF8.self))
            }
            said += bytes
        }
    }

    deinit {
        server.signal(SIGKILL)
        _ = try? Poll.wait([PollInterest(descriptor: server.pidfd.raw, events: .read)], until: MonotonicTime.now.advanced(by: 5))
        _ = server.reap()
    }

    func makeSession(
        _ queues: [QueueDeclaration], node: String, incarnation: Incarnation, holding: [DeliveryTag], joinsResults: Bool
    ) -> any BrokerSession {
        RedisBrokerSession(
            url, results: joinsResults ? url : nil, resultExpiry: 3600, queues: queues, node: node, incarnation: incarnation,
            holding: holding)
    }

    func makeSender() -> any MessageSender { RedisMessageSender(url) }

    func makeStore() -> any ResultStore { RedisResultStore(url, expiry: 3600) }

    func deadLetters() throws -> [DeadLetter] {
        // Newest first.
        let records = try ask(RedisCommand("LRANGE", "coppice.dead", "0", "-1")).array ?? []
        return try records.reversed().map { record in
            let value = try JSONValue(parsing: record.bytes ?? [])
            let body = try ask(RedisCommand("HGET", "coppice.dead.messages", value["id"]?.string ?? "")).bytes
            return DeadLetter(
                reason: value["reason"]?.string ?? "", queue: value["queue"]?.string ?? "", taskID: value["task_id"]?.string, body: body)
        }
    }

    func plant(_ raw: [UInt8], in queue: String) throws {
        var command = RedisCommand("LPUSH", queue)
        command.append(raw)
        _ = try ask(command)
    }

    /// One command and its reply.
    func ask(_ command: RedisCommand) throws -> RedisValue {
        let connection = RedisConnection(url, clientName: "test", now: .now)
        defer { connection.close() }
        let end = MonotonicTime.now.advanced(by: 5)
        connection.send(command, label: 1, now: .now)
        connection.flush()
        while MonotonicTime.now < end {
            for event in connection.takeEvents() {
                switch event {
                case .open: connection.flush()
                case .reply(1, let value): return value
                case .reply: break
                case .lost(let reason): throw DidNotCome(what: "a reply", seen: reason)
                }
            }
            try Poll.turn([connection], until: end)
        }
        throw DidNotCome(what: "a reply", seen: "nothing")
    }
}
