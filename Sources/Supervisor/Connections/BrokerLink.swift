import CoppiceEventLoop
import CoppiceResults
import CoppiceShared
import CoppiceSystem
import CoppiceTransport
import Logging

/// The way to the broker over all its sessions: opens one, reports what it says, drops it when it is lost, tries again.
final class BrokerLink {
    private let options: SupervisorOptions
    private let loop: EventLoop
    private let log: Logger
    private let incarnation = Incarnation()
    private let claims = ClaimBook()
    private var session: (any BrokerSession)?
    private var sources: PollableSources?
    private var backoff = Backoff()
    private var retryTimer: TimerSource?
    private var lastReason: String?
    private var wasStanding = false

    /// Whether messages can be taken and settled.
    private(set) var isStanding = false
    /// The session has been closed in order.
    private(set) var isOver = false
    private var awaySince: MonotonicTime? = .now
    private var leaseProven: MonotonicTime?

    /// What the session reports, in order; `.standing` and `.lost` too, after the link has acted on them.
    var onEvent: (BrokerEvent) -> Void = { _ in }
    /// The embedded broker's file can't be used, from the start: trying again would not help, the operator must act.
    var onHopeless: (String) -> Void = { _ in }
    /// The tags to be handed to a new session.
    var holding: () -> [DeliveryTag] = { [] }

    init(options: SupervisorOptions, loop: EventLoop, log: Logger) throws(SystemError) {
        self.options = options
        self.loop = loop
        self.log = log
        retryTimer = try loop.timer(priority: LoopPriority.broker) { [unowned self] in open() }
    }

    /// Whether nobody can have taken this node for dead, so that what it holds may be started and more be taken.
    var isTrusted: Bool { leaseProven.map { MonotonicTime.now.seconds(since: $0) < LeaseObserver.trust } ?? false }

    /// The session, while it stands. Who gives it an order calls `flush` in the same turn.
    var standing: (any BrokerSession)? { isStanding ? session : nil }

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

    func open() {
        guard !isOver else { return }
        let session = makeSession()
        self.session = session
        sources = PollableSources(session, loop: loop, priority: LoopPriority.broker) { [unowned self] in drain() }
        drain()
    }

    /// Gives the lease up and ends; `isOver` when done.
    func close() {
        guard let session, isStanding else {
            isOver = true
            return
        }
        session.close()
        drain()
    }

    /// Hands the orders of this turn over.
    func flush() {
        session?.flush()
        drain()
    }

    /// Takes over what the session has to say and watches what it wants watched.
    private func drain() {
        guard let session else { return }
        for event in session.takeEvents() {
            switch event {
            case .standing: stood()
            // Proven: a session that stands and falls at its first question is still a failure.
            case .taken: backoff.succeeded()
            case .lost(let reason):
                lost(reason)
                onEvent(event)
                return
            default: break
            }
            onEvent(event)
        }
        leaseProven = session.leaseProven ?? leaseProven
        sources?.sync()
    }

    private func makeSession() -> any BrokerSession {
        switch options.broker {
        case .redis(let url):
            var joined = Optional(url)
            if joinsResults, case .redis(let results) = options.results { joined = results } else { joined = nil }
            return RedisBrokerSession(
                url, results: joined, resultExpiry: options.resultExpiry, queues: options.queues, node: options.node,
                incarnation: incarnation, holding: holding())
        case .rabbitmq(let url):
            let carrier = AMQPCarrier(
                url, queues: options.queues, node: options.node, incarnation: incarnation,
                prefetch: options.unsettled, largestMessage: SupervisorOptions.largestMessage)
            return LedgeredSession(
                carrier: carrier, ledger: makeLedger(), incarnation: incarnation, book: claims, joinsResults: joinsResults)
        case .sqlite(let path):
            return SQLiteBrokerSession(
                path: path, queues: options.queues, node: options.node, incarnation: incarnation, holding: holding(),
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

    func isAway(longerThan seconds: Double) -> Bool { awaySince.map { MonotonicTime.now.seconds(since: $0) > seconds } ?? false }

    private func stood() {
        isStanding = true
        awaySince = nil
        if wasStanding || lastReason != nil {
            log.warning("Connected to \(options.broker)\(wasStanding ? " again" : "")")
        } else {
            log.info("Connected to \(options.broker)")
        }
        wasStanding = true
        lastReason = nil
    }

    private func lost(_ reason: String) {
        let stood = isStanding
        isStanding = false
        if stood { awaySince = .now }
        session = nil
        sources = nil
        guard reason != "closed" else {
            isOver = true
            return
        }
        if case .sqlite = options.broker, !wasStanding {
            isOver = true
            onHopeless(reason)
            return
        }
        let pause = backoff.next()
        // One line per change of state, not one per attempt.
        if stood || reason != lastReason {
            log.error("\(stood ? "Lost the broker" : "Can't reach the broker") \(options.broker): \(reason); trying again")
        }
        lastReason = reason
        retryTimer?.set(MonotonicTime.now.advanced(by: pause))
    }

    /// For STATUS: how the broker is.
    var status: String { isStanding ? "broker up" : "broker away\(lastReason.map { " (\($0))" } ?? "")" }
}
