import CoppiceResults
import CoppiceShared
import CoppiceTransport

/// The options of a master's whole life; `LiveOptions` are those that a reload may change. Checked by the command
/// line; every value here is sound.
public struct SupervisorOptions: Sendable {
    /// `celery@host`.
    public var node: String
    /// How many messages per child may be claimed without running, from 1.
    public var prefetchMultiplier: Int
    /// Queues in the order of first service; at least one.
    public var queues: [QueueDeclaration]
    public var broker: BrokerEndpoint
    public var results: ResultEndpoint
    /// IANA name; nil: the system's.
    public var timeZone: String?
    public var log: LogOptions
    /// Coppice's file on this host, for the ledger where neither the broker nor the result store keeps one: RabbitMQ with `rpc://`.
    public var ledgerPath = ""
    /// The same file where RabbitMQ's ledger is elsewhere: what was left there is told at the start. nil: there is no such place.
    public var formerLedgerPath: String?
    /// Seconds for which records are kept.
    public var resultExpiry = ResultExpiry.standard
    public var sandbox = SandboxOptions()
    /// Where the master's process id stands; nil: nowhere.
    public var pidfile: String?
    /// Where it is told how reloads went.
    public var reloadReports: [String] = []
    /// The program's version, for the banner.
    public var version: String

    /// Bytes of a message above which it is set aside (a body of 32 MiB and its envelope, in base64).
    public static let largestMessage = 44 << 20

    /// Bytes of a result's JSON text above which the task fails.
    public static let largestResult = 64 << 20

    public init(
        node: String, prefetchMultiplier: Int, queues: [QueueDeclaration], broker: BrokerEndpoint, results: ResultEndpoint,
        timeZone: String?, log: LogOptions, version: String
    ) {
        self.node = node
        self.prefetchMultiplier = prefetchMultiplier
        self.queues = queues
        self.broker = broker
        self.results = results
        self.timeZone = timeZone
        self.log = log
        self.version = version
    }

    /// How many messages a broker that gives them unasked may have given and not seen settled. Those that run and are acknowledged late
    /// have places of their own, and those that are on their way, here or back, as many as the window: unless the window is the least
    /// there is, since then nothing is meant to lie here.
    func unsettled(children: Int) -> Int {
        let window = children * prefetchMultiplier
        return window + children + (prefetchMultiplier > 1 ? window : 0)
    }

    /// The names of what a reload has read that is not as it was at the start: to change that takes a restart.
    func differences(from read: SupervisorOptions) -> [String] {
        var names: [String] = []
        func compare<Value: Equatable>(_ path: KeyPath<SupervisorOptions, Value>, _ name: String) {
            if self[keyPath: path] != read[keyPath: path] { names.append(name) }
        }
        compare(\.broker, "the broker")
        compare(\.results, "the result store")
        compare(\.ledgerPath, "the ledger's file")
        compare(\.queues, "queues")
        compare(\.node, "hostname")
        compare(\.prefetchMultiplier, "prefetch-multiplier")
        compare(\.pidfile, "pidfile")
        compare(\.log.file, "logfile")
        compare(\.log.level, "loglevel")
        compare(\.log.format, "log-format")
        compare(\.sandbox, "the sandbox (--child-user and the like)")
        compare(\.timeZone, "DATETIME_TIMEZONE")
        compare(\.resultExpiry, "CELERY_RESULT_EXPIRES")
        return names
    }
}
