import CoppiceAMQP
import CoppiceDial
import CoppiceResults
import CoppiceShared
import CoppiceSystem
import CoppiceTransport

/// A virtual host of the test's own on the process' RabbitMQ, with a ledger and results in a Redis or in a file of the test's own.
final class RabbitMQFixture: BrokerFixture {
    let server: RabbitMQServer
    let url: AMQPURL
    var prefetch = 100
    var largestMessage = 1 << 20
    var mostBytes = 64 << 20

    private let redis: RedisFixture?
    private let sqlite: SQLiteFixture?
    private var books: [String: ClaimBook] = [:]

    convenience init(ledgerInFile: Bool = false) throws { try self.init(RabbitMQServer.shared.get(), ledgerInFile: ledgerInFile) }

    init(_ server: RabbitMQServer, ledgerInFile: Bool = true) throws {
        redis = ledgerInFile ? nil : try RedisFixture()
        sqlite = ledgerInFile ? try SQLiteFixture() : nil
        self.server = server
        url = AMQPURL(host: "127.0.0.1", port: server.port, user: "guest", password: "guest", virtualHost: try server.virtualHost())
    }

    /// The same place through a proxy.
    func url(through proxy: TCPProxy) -> AMQPURL {
        var url = url
        url.servers[0].endpoint = StreamEndpoint(.tcp(host: "127.0.0.1", port: proxy.port))
        return url
    }

    func makeSession(
        _ queues: [QueueDeclaration], node: String, incarnation: Incarnation, holding: [DeliveryTag], joinsResults: Bool,
        deadLetters: DeadLetterLimits
    ) -> any BrokerSession {
        let book = books[incarnation.id] ?? ClaimBook()
        books[incarnation.id] = book
        let ledger = makeLedger(node: node, incarnation: incarnation, book: book, deadLetters: deadLetters)
        let carrier = AMQPCarrier(
            url, queues: queues, node: node, incarnation: incarnation, prefetch: prefetch, largestMessage: largestMessage,
            mostBytes: mostBytes)
        return LedgeredSession(carrier: carrier, ledger: ledger, incarnation: incarnation, book: book)
    }

    /// A master's ledger, without its broker.
    func makeLedger(
        node: String, incarnation: Incarnation, book: ClaimBook = ClaimBook(), deadLetters: DeadLetterLimits
    ) -> any Ledger {
        if let redis {
            return RedisLedger(redis.url, resultExpiry: 3600, deadLetters: deadLetters, incarnation: incarnation, book: book)
        }
        return SQLiteLedger(
            path: sqlite?.path ?? "", node: node, joinsResults: true, resultExpiry: 3600, deadLetters: deadLetters,
            incarnation: incarnation, book: book)
    }

    /// How much this incarnation has in hand by its own account.
    func holdings(of incarnation: Incarnation) -> Int { books[incarnation.id]?.count ?? 0 }

    func makeRevoker() -> any MessageSender { redis?.makeSender() ?? sqlite?.makeSender() ?? makeSender() }

    func makeSender() -> any MessageSender { AMQPMessageSender(url) }

    func makeStore() -> any ResultStore { redis?.makeStore() ?? sqlite?.makeStore() ?? AMQPResultStore(url) }

    func makeDeadLetterPlace() -> any QueueOperations {
        redis?.makeDeadLetterPlace() ?? sqlite?.makeDeadLetterPlace() ?? AMQPQueueOperations(url)
    }

    /// They are the ledger's, kept as envelopes.
    func deadLetters() throws -> [DeadLetter] {
        try (redis?.deadLetters() ?? sqlite?.deadLetters() ?? []).map { letter in
            guard let envelope = letter.body, let body = Envelope.controlBody(envelope), letter.taskID == nil else { return letter }
            var letter = letter
            letter.body = body
            return letter
        }
    }

    func plant(_ raw: [UInt8], in queue: String) throws {
        try publish(AMQPMessage(routingKey: queue, properties: AMQPProperties(), body: raw))
    }

    /// Publishes something and waits until RabbitMQ has it.
    func publish(_ message: AMQPMessage) throws {
        try ask([.queueDeclare(message.routingKey)], then: message)
    }

    /// Requests on a connection of their own, each of which must succeed; the last one's answer.
    @discardableResult
    func ask(_ requests: [AMQPRequest], then message: AMQPMessage? = nil) throws -> AMQPReply {
        let connection = AMQPConnection(url, clientName: "test", messageLimit: 1 << 20, now: .now)
        defer { connection.abandon() }
        let end = MonotonicTime.now.advanced(by: 10)
        var left = requests + (message == nil ? [] : [.confirmSelect])
        while MonotonicTime.now < end {
            for event in connection.takeEvents() {
                switch event {
                case .open: try connection.send(.channelOpen, on: 1, now: .now)
                case .reply(_, _, let reply):
                    if let next = left.first {
                        left.removeFirst()
                        try connection.send(next, on: 1, now: .now)
                    } else if let message {
                        try connection.publish(
                            message.properties, body: message.body, exchange: message.exchange, routingKey: message.routingKey,
                            mandatory: true, on: 1, now: .now)
                    } else {
                        return reply
                    }
                case .confirmed: return .done
                case .channelClosed(_, let code, let text): throw DidNotCome(what: "\(requests)", seen: "\(code) \(text)")
                case .lost(let reason): throw DidNotCome(what: "\(requests)", seen: reason)
                default: break
                }
            }
            connection.flush()
            try Poll.turn([connection], until: end)
        }
        throw DidNotCome(what: "\(requests)", seen: "nothing")
    }

    /// How many messages wait in a queue; those that a consumer holds do not count.
    func count(_ queue: String) throws -> Int {
        guard case .queue(_, let messages, _) = try ask([.queueExists(queue)]) else { return -1 }
        return messages
    }
}
