import ArgumentParser
import CoppiceShared
import CoppiceSupervisor
import CoppiceSystem
import Glibc
import Logging

/// The master. Synchronous: one thread, from here to the end.
struct WorkerCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "worker", abstract: "Run tasks: the master of a pool of child processes.",
        discussion: """
            Every flag but --broker, --result-backend and --config may also stand in the settings file, in the mapping 'worker', under \
            its long name. What is given here comes first; a switch that is on there can't be turned off here. Celery's other flags \
            are accepted with a warning where they change nothing, and else refused with what to do instead.

            Signals: TERM, or INT once, finishes what runs and gives the rest back; INT again, or QUIT, kills what runs and settles it. \
            HUP reads the settings again and replaces the children one by one; TTIN and TTOU add and remove one; TSTP stops taking \
            messages, CONT takes them again; USR1 writes the state of everything to the log.
            Exit codes: 0 after TERM or QUIT, 1 after INT or a failure, 2 a wrong setting or worker, 64 flags that make no \
            sense, 73 the pidfile is taken.
            """)

    @Option(
        name: [.customShort("A", allowingJoined: true), .customLong("app")], help: ArgumentHelp("The worker executable.", valueName: "path")
    )
    var app: String?

    @Option(
        name: [.customShort("c", allowingJoined: true), .long], parsing: .unconditional,
        help: ArgumentHelp("How many children; auto, as if not given: as many as this process may use processors.", valueName: "n"))
    var concurrency: String?

    @Option(
        parsing: .unconditional,
        help: ArgumentHelp("How many messages per child may be claimed without running; 4 if not given.", valueName: "n"))
    var prefetchMultiplier: Int?

    @Option(
        name: [.customShort("Q", allowingJoined: true), .long],
        help: ArgumentHelp("Queues, separated by commas; those of the settings file, or celery.", valueName: "names"))
    var queues: String?

    @Option(
        name: [.customShort("n", allowingJoined: true), .long],
        help: ArgumentHelp("The node's name: NAME@HOST with %h, %n, %d, %i; celery@%h if not given.", valueName: "name"))
    var hostname: String?

    @Option(parsing: .unconditional, help: ArgumentHelp("Seconds after which a task is asked to end.", valueName: "seconds"))
    var softTimeLimit: Double?

    @Option(parsing: .unconditional, help: ArgumentHelp("Seconds after which a task is killed.", valueName: "seconds"))
    var timeLimit: Double?

    @Option(
        parsing: .unconditional,
        help: ArgumentHelp("Seconds within which a child must be ready; 10 if not given.", valueName: "seconds"))
    var childStartTimeout: Double?

    @Option(help: ArgumentHelp("A variable that children get, too; may be repeated.", valueName: "name"))
    var childEnv: [String] = []

    @Flag(help: "Have Swift's runtime report how a child crashed, with a backtrace; wants swift-backtrace on this host.")
    var backtraces = false

    @Flag(help: "Set messages aside that have callbacks, errbacks, a chain or a chord, instead of running their task alone.")
    var refuseCanvas = false

    @Option(help: ArgumentHelp("A file for the process id.", valueName: "path"))
    var pidfile: String?

    @OptionGroup(title: "Log") var log: LogFlags

    @OptionGroup(title: "Sandbox") var sandbox: SandboxFlags
    @OptionGroup(title: "Recycling") var recycling: RecyclingFlags
    @OptionGroup(title: "Poison pills") var poison: PoisonFlags
    @OptionGroup(title: "Scaling") var scaling: ScalingFlags
    @OptionGroup(title: "Shutdown") var shutdown: ShutdownFlags
    @OptionGroup var connection: ConnectionFlags

    func run() throws {
        // Before anything else: a process of the same user must not read our memory and environment.
        CurrentProcess.forbidInspection()
        CurrentProcess.surviveFileSizeLimit()
        let code = try CommandFailure.reporting {
            let settings = try Settings(connection)
            let (options, live) = try resolve(settings) { name throws(UnknownAccount) in try UserAccount(name) }
            if let timeZone = options.timeZone {
                setenv("TZ", timeZone, 1)
                tzset()
            }
            let sink: LogSink
            do { sink = try LogSink(options.log, node: options.node) } catch {
                throw CommandFailure("\(options.log.file == nil ? "--log-format" : "--logfile"): \(error)", code: 2)
            }
            let pid = try options.pidfile.map { try PidFile($0) }
            defer {
                pid?.remove()
                for report in options.reloadReports { unlink(report) }
            }
            let supervisor = try Supervisor(options: options, live: live, sink: sink)
            for remark in settings.remarks { supervisor.log.warning("\(remark)") }
            if let remark = UnknownVariables.remark(CurrentProcess.environment) { supervisor.log.warning("\(remark)") }
            supervisor.readSettings = {
                // The user database may be a server, and the loop waits for nobody: the user is who it was at the start.
                do { return try resolve(try Settings(connection)) { _ in options.sandbox.user } } catch let failure as CommandFailure {
                    throw SupervisorFailure(failure.text, code: failure.code)
                }
            }
            supervisor.onFirstChild = { tasks in
                var output = LineOutput(descriptor: STDOUT_FILENO)
                output.append(Banner.text(options, live, tasks: tasks).utf8)
                output.flush()
            }
            do { return try supervisor.run() } catch let failure as SupervisorFailure {
                throw CommandFailure(failure.description, code: failure.code)
            }
        }
        if code != 0 { throw ExitCode(code) }
    }

    /// - Parameter account: looks up whom children run as.
    private func resolve(
        _ settings: Settings, account: (String) throws(UnknownAccount) -> UserAccount?
    ) throws -> (SupervisorOptions, LiveOptions) {
        let worker = settings.worker
        let node = try name(worker)
        var options = SupervisorOptions(
            node: node.full, prefetchMultiplier: try worker.integer(prefetchMultiplier, "prefetch-multiplier", 1...10_000) ?? 4,
            queues: try declarations(settings), broker: settings.broker, results: settings.results, timeZone: settings.timeZone,
            log: try log.options(worker, node: node), version: Coppice.version)
        if case .rabbitmq = settings.results {
            options.ledgerPath = try Settings.embeddedPath()
        } else if case .rabbitmq = settings.broker, let folder = try? Settings.embeddedFolder() {
            let path = folder + "/coppice.db"
            if settings.results != .sqlite(path: path) { options.formerLedgerPath = path }
        }
        options.resultExpiry = settings.resultExpiry
        options.sandbox = try sandbox.options(worker, account: account)
        options.pidfile = try worker.text(pidfile, "pidfile").map { try node.path($0, "--pidfile") }
        options.reloadReports = ReloadReport.places(
            pidfile: options.pidfile, runtimeDirectory: CurrentProcess.environment("RUNTIME_DIRECTORY"))
        return (options, try live(settings))
    }

    private func live(_ settings: Settings) throws -> LiveOptions {
        let worker = settings.worker
        var live = LiveOptions(
            workerPath: try executable(worker), concurrency: try children(worker), maximumRetries: settings.maximumRetries)
        live.scaling = isSizeGiven ? nil : try scaling.options(worker, patience: settings.autoscalePatience)
        if let scaling = live.scaling { live.concurrency = scaling.minimum }
        live.softTimeLimit = try worker.seconds(softTimeLimit, "soft-time-limit")
        live.timeLimit = try worker.seconds(timeLimit, "time-limit")
        live.startTimeout = try worker.seconds(childStartTimeout, "child-start-timeout") ?? LiveOptions.standardStartTimeout
        live.childEnvironment = try childVariables(worker)
        live.extendsResults = settings.extendsResults
        live.storesErrorsEvenIfIgnored = settings.storesErrorsEvenIfIgnored
        live.backtraces = try worker.isOn(backtraces, "backtraces")
        live.refusesCanvas = try worker.isOn(refuseCanvas, "refuse-canvas")
        live.recycling = try recycling.options(worker)
        live.poison = try poison.options(worker)
        live.shutdown = try shutdown.options(worker)
        return live
    }

    private func name(_ worker: WorkerLookup) throws -> NodeName {
        let host = CurrentProcess.hostName
        if let given = try worker.text(hostname, "hostname") { return try NodeName(template: given, host: host) }
        let variable = NodeName.defaultVariable
        return try NodeName(template: CurrentProcess.environment(variable), host: host, source: "environment variable \(variable)")
    }

    /// Whether the file's --autoscale gives way to a --concurrency of the command line.
    private var isSizeGiven: Bool { concurrency != nil && scaling.autoscale == nil && scaling.maxPressure == nil }

    private func children(_ worker: WorkerLookup) throws -> Int {
        // The file's --concurrency gives way to an --autoscale of the command line.
        if concurrency == nil, scaling.autoscale != nil { return CurrentProcess.processorCount }
        guard let text = try worker.text(concurrency, "concurrency"), text != "auto" else { return CurrentProcess.processorCount }
        if !isSizeGiven, try worker.text(scaling.autoscale, "autoscale") != nil {
            throw CommandFailure("--concurrency and --autoscale: one of them is wanted", code: 2)
        }
        return try worker.integer(concurrency, "concurrency", 1...10_000) ?? CurrentProcess.processorCount
    }

    /// The queues that were named, in that order; else those that the settings file declares; else Celery's default.
    private func declarations(_ settings: Settings) throws -> [QueueDeclaration] {
        let named = settings.worker.list(queues.map { [$0] } ?? [], "queues").joined(separator: ",")
        guard queues != nil || !named.isEmpty else { return settings.queues.isEmpty ? ["celery"] : settings.queues }
        let names = named.split(whereSeparator: { $0 == "," || $0 == " " }).map(String.init)
        guard !names.isEmpty else { throw CommandFailure("--queues: at least one queue is wanted", code: 2) }
        for name in names { try QueueName.check(name, "--queues") }
        var seen: Set<String> = []
        return names.filter { seen.insert($0).inserted }.map { name in
            settings.queues.first { $0.name == name } ?? QueueDeclaration(name)
        }
    }

    private func executable(_ worker: WorkerLookup) throws -> String {
        guard let app = try worker.text(app, "app") else {
            throw CommandFailure("no worker is named: coppice worker -A PATH, or 'worker: {app: PATH}' in the settings file", code: 2)
        }
        var info = stat()
        guard stat(app, &info) == 0 else {
            throw CommandFailure("--app: \(SystemError(app)): the path of a worker executable is wanted", code: 2)
        }
        guard info.st_mode & S_IFMT == S_IFREG else {
            throw CommandFailure("--app: \(app) is not a file: the path of a worker executable is wanted", code: 2)
        }
        guard access(app, X_OK) == 0 else { throw CommandFailure("--app: \(app) is not executable: build it, or chmod +x", code: 2) }
        return app
    }

    private func childVariables(_ worker: WorkerLookup) throws -> [String] {
        let names = worker.list(childEnv, "child-env")
        for name in names where ChildEnvironment.isRefused(name) {
            throw CommandFailure("--child-env: \(name) may hold a way to the broker; children get none", code: 2)
        }
        return names
    }
}
