import CoppiceRedis
import CoppiceResults
import CoppiceShared
import CoppiceSystem
import CoppiceTransport

/// A Redis of the test's own: a server on a socket in the test's folder, which keeps nothing.
final class RedisFixture: BrokerFixture {
    private let folder: TemporaryFolder
    private let server: RedisProcess
    let url: RedisURL

    /// - Parameters:
    ///   - prefix: `global_keyprefix`.
    ///   - layout: kombu's options for lists.
    ///   - options: of the server, beside the usual ones.
    init(prefix: String = "", layout: RedisQueueLayout = RedisQueueLayout(), options: [String] = []) throws {
        folder = try TemporaryFolder()
        let socket = folder.file("redis.sock")
        var url = RedisURL(endpoint: .unix(path: socket))
        url.keyPrefix = prefix
        url.layout = layout
        self.url = url
        server = try RedisProcess(folder, ["--port", "0", "--unixsocket", socket] + options)
    }

    func makeSession(
        _ queues: [QueueDeclaration], node: String, incarnation: Incarnation, holding: [DeliveryTag], joinsResults: Bool,
        deadLetters: DeadLetterLimits
    ) -> any BrokerSession {
        RedisBrokerSession(
            url, results: joinsResults ? url : nil, resultExpiry: 3600, queues: queues, node: node, incarnation: incarnation,
            holding: holding, deadLetters: deadLetters)
    }

    func makeSender() -> any MessageSender { RedisMessageSender(url) }

    func makeStore() -> any ResultStore { RedisResultStore(url, expiry: 3600) }

    func makeDeadLetterPlace() -> any QueueOperations { RedisQueueOperations(url) }

    func deadLetters() throws -> [DeadLetter] {
        // Newest first.
        let records = try ask(RedisCommand("LRANGE", url.keyPrefix + "coppice.dead", "0", "-1")).array ?? []
        return try records.reversed().map { record in
            let value = try JSONValue(parsing: record.bytes ?? [])
            let body = try ask(RedisCommand("HGET", url.keyPrefix + "coppice.dead.messages", value["id"]?.string ?? "")).bytes
            return DeadLetter(
                reason: value["reason"]?.string ?? "", queue: value["queue"]?.string ?? "", taskID: value["task_id"]?.string, body: body)
        }
    }

    func plant(_ raw: [UInt8], in queue: String) throws {
        var command = RedisCommand("LPUSH", url.keyPrefix + queue)
        command.append(raw)
        _ = try ask(command)
    }

    /// One command and its reply.
    func ask(_ command: RedisCommand) throws -> RedisValue { try url.ask(command) }
}

extension RedisFixture {
    static func layout(
        separator: String, steps: [Int] = [0, 3, 6, 9], order: RedisQueueLayout.Order = .roundRobin
    ) -> RedisQueueLayout {
        var layout = RedisQueueLayout()
        layout.separator = separator
        layout.steps = steps
        layout.order = order
        return layout
    }
}
