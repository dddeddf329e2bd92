/// The options that a reload may change: children are started by them, and the node goes by the new ones from then on. Checked by the
/// command line; every value here is sound.
public struct LiveOptions: Sendable {
    /// The worker executable.
    public var workerPath: String
    /// Children at the start, from 1.
    public var concurrency: Int
    /// nil: there are always `concurrency` children.
    public var scaling: ScalingOptions?
    /// Seconds; for tasks that have no limit of their own.
    public var softTimeLimit: Double?
    public var timeLimit: Double?
    /// For tasks that declare none.
    public var maximumRetries: Int
    /// Seconds in which a child must say ready, above 0.
    public var startTimeout = standardStartTimeout
    /// Names of variables that children get beside the standard ones.
    public var childEnvironment: [String] = []
    /// Whether records say how a task was called, too.
    public var extendsResults = false
    /// Of tasks whose results are ignored: whether failures are stored, where the task's own option says nothing.
    public var storesErrorsEvenIfIgnored = false
    /// Whether Swift's runtime reports the crashes of children, with backtraces.
    public var backtraces = false
    /// Whether messages with canvas are set aside; else their task is run, with a warning.
    public var refusesCanvas = false
    public var recycling = RecyclingOptions()
    public var poison = PoisonOptions()
    public var shutdown = ShutdownOptions()

    public static let standardStartTimeout = 10.0

    public init(workerPath: String, concurrency: Int, maximumRetries: Int) {
        self.workerPath = workerPath
        self.concurrency = concurrency
        self.maximumRetries = maximumRetries
    }

    /// How many children there are at most.
    var mostChildren: Int { scaling?.maximum ?? concurrency }
}
