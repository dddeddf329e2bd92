import CoppiceResults
import CoppiceShared
import CoppiceTransport

/// What a master is told at its start. Checked by the command line; every value here is sound.
public struct SupervisorOptions: Sendable {
    /// The worker executable.
    public var workerPath: String
    /// `celery@host`.
    public var node: String
    /// Children at the start, from 1.
    public var concurrency: Int
    /// How many messages per child may be claimed without running, from 1.
    public var prefetchMultiplier: Int
    /// Queues in the order of first service; at least one.
    public var queues: [QueueDeclaration]
    public var broker: BrokerEndpoint
    public var results: ResultEndpoint
    /// Seconds; for tasks that have no limit of their own.
    public var softTimeLimit: Double?
    public var timeLimit: Double?
    /// For tasks that declare none.
    public var maximumRetries: Int
    /// IANA name; nil: the system's.
    public var timeZone: String?
    /// Names of variables that children get beside the standard ones.
    public var childEnvironment: [String]
    public var log: LogOptions
    /// Coppice's file on this host, for the ledger where neither the broker nor the result store keeps one: RabbitMQ with `rpc://`.
    public var ledgerPath = ""
    /// Whether records say how a task was called, too.
    public var extendsResults = false
    /// Seconds for which records are kept.
    public var resultExpiry = ResultExpiry.standard
    /// Of tasks whose results are ignored: whether failures are stored, where the task's own option says nothing.
    public var storesErrorsEvenIfIgnored = false
    /// Whether Swift's runtime reports the crashes of children, with backtraces.
    public var backtraces = false
    public var sandbox = SandboxOptions()
    public var recycling = RecyclingOptions()
    public var poison = PoisonOptions()
    /// nil: there are always `concurrency` children.
    public var scaling: ScalingOptions?
    public var shutdown = ShutdownOptions()
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
        workerPath: String, node: String, concurrency: Int, prefetchMultiplier: Int, queues: [QueueDeclaration], broker: BrokerEndpoint,
        results: ResultEndpoint, softTimeLimit: Double?, timeLimit: Double?, maximumRetries: Int, timeZone: String?,
        childEnvironment: [String], log: LogOptions, version: String
    ) {
        self.workerPath = workerPath
        self.node = node
        self.concurrency = concurrency
        self.prefetchMultiplier = prefetchMultiplier
        self.queues = queues
        self.broker = broker
        self.results = results
        self.softTimeLimit = softTimeLimit
        self.timeLimit = timeLimit
        self.maximumRetries = maximumRetries
        self.timeZone = timeZone
        self.childEnvironment = childEnvironment
        self.log = log
        self.version = version
    }

    /// How many messages the most children may have claimed without running.
    private var window: Int { mostChildren * prefetchMultiplier }
    private var mostChildren: Int { scaling?.maximum ?? concurrency }
    /// How many messages a broker that gives them unasked may have given and not seen settled. Those that run and are acknowledged late
    /// have places of their own, and those that are on their way, here or back, as many as the window: unless the window is the least
    /// there is, since then nothing is meant to lie here.
    var unsettled: Int { window + mostChildren + (prefetchMultiplier > 1 ? window : 0) }
}
