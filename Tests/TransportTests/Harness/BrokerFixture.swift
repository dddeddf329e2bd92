import CoppiceResults
import CoppiceSQLite
import CoppiceShared
import CoppiceTransport
import Testing

/// A broker with its result store, empty at first, for one test. What the conformance suites need to know of it.
protocol BrokerFixture: AnyObject {
    func makeSession(
        _ queues: [QueueDeclaration], node: String, incarnation: Incarnation, holding: [DeliveryTag], joinsResults: Bool,
        deadLetters: DeadLetterLimits
    )
        -> any BrokerSession
    func makeSender() -> any MessageSender
    /// Where revocations are stored: with the broker, or with the ledger beside it.
    func makeRevoker() -> any MessageSender
    func makeStore() -> any ResultStore
    /// An operator's hands on the dead-letter place: with the broker, or with the ledger beside it.
    func makeDeadLetterPlace() -> any QueueOperations
    /// What stands at the dead-letter place, oldest first.
    func deadLetters() throws -> [DeadLetter]
    /// Puts something that is no task message into a queue.
    func plant(_ raw: [UInt8], in queue: String) throws
}

extension BrokerFixture {
    func makeRevoker() -> any MessageSender { makeSender() }
}

struct DeadLetter: Equatable {
    var reason: String
    var queue: String
    var taskID: String?
    var body: [UInt8]?
}

/// The brokers that the suites run against. A further one: a case here, and a fixture in a file of its own.
enum Broker: String, CaseIterable, Sendable, CustomTestStringConvertible {
    case sqlite
    case redis
    /// With a key prefix and another `sep`.
    case redisWithOptions
    /// With its ledger in Redis, and in a file.
    case rabbitmq
    case rabbitmqWithFile

    /// Those whose queues are ours: kombu's priorities, a place in front, leases that say what is given back.
    static let keepers: [Broker] = [.sqlite, .redis, .redisWithOptions]

    func fixture() throws -> any BrokerFixture {
        switch self {
        case .sqlite: try SQLiteFixture()
        case .redis: try RedisFixture()
        case .redisWithOptions: try RedisFixture(prefix: "px:", layout: RedisFixture.layout(separator: ":"))
        case .rabbitmq: try RabbitMQFixture()
        case .rabbitmqWithFile: try RabbitMQFixture(ledgerInFile: true)
        }
    }

    var testDescription: String { rawValue }
}
