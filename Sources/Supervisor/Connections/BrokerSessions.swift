import CoppiceResults
import CoppiceShared
import CoppiceTransport

/// Makes the broker sessions of this master: one incarnation, and what of it outlives a session.
struct BrokerSessions {
    let options: SupervisorOptions
    private let incarnation = Incarnation()
    private let claims = ClaimBook()

    init(_ options: SupervisorOptions) { self.options = options }

    /// Whether records reach the result store in the broker's own commits.
    var joinsResults: Bool {
        switch (options.broker, options.results) {
        case (.redis(let broker), .redis(let results)): broker.isSameServer(as: results)
        case (.sqlite(let broker), .sqlite(let results)): broker == results
        // Its ledger stands where the results are.
        case (.rabbitmq, .redis), (.rabbitmq, .sqlite): true
        default: false
        }
    }

    /// A session for one connection attempt.
    ///
    /// - Parameters:
    ///   - holding: what earlier ones took and has not been settled.
    ///   - unsettled: as in `BrokerSession.allow`.
    func make(holding: [DeliveryTag], unsettled: Int) -> any BrokerSession {
        switch options.broker {
        case .redis(let url):
            var joined = Optional(url)
            if joinsResults, case .redis(let results) = options.results { joined = results } else { joined = nil }
            return RedisBrokerSession(
                url, results: joined, resultExpiry: options.resultExpiry, queues: options.queues, node: options.node,
                incarnation: incarnation, holding: holding)
        case .rabbitmq(let url):
            let carrier = AMQPCarrier(
                url, queues: options.queues, node: options.node, incarnation: incarnation,
                prefetch: unsettled, largestMessage: SupervisorOptions.largestMessage)
            return LedgeredSession(
                carrier: carrier, ledger: makeLedger(), incarnation: incarnation, book: claims)
        case .sqlite(let path):
            return SQLiteBrokerSession(
                path: path, queues: options.queues, node: options.node, incarnation: incarnation, holding: holding,
                joinsResults: joinsResults, resultExpiry: options.resultExpiry)
        }
    }

    private func makeLedger() -> any Ledger {
        switch options.results {
        case .redis(let url):
            RedisLedger(url, resultExpiry: options.resultExpiry, incarnation: incarnation, book: claims)
        case .sqlite(let path):
            SQLiteLedger(
                path: path, node: options.node, joinsResults: true, resultExpiry: options.resultExpiry, incarnation: incarnation,
                book: claims)
        case .rabbitmq:
            SQLiteLedger(
                path: options.ledgerPath, node: options.node, joinsResults: false, resultExpiry: options.resultExpiry,
                incarnation: incarnation, book: claims)
        }
    }
}
