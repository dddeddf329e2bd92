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
            Signals: TERM, or INT once, finishes what runs and gives the rest back; INT again, or QUIT, kills what runs and settles it.
            Exit codes: 0 after TERM or QUIT, 1 after INT or a failure, 2 a wrong flag or worker, 73 the pidfile is taken.
            """)

    @Option(name: [.customShort("A"), .customLong("app")], help: ArgumentHelp("The worker executable.", valueName: "path"))
    var app: String

    @Option(name: [.short, .long], help: ArgumentHelp("debug, info, warning or error.", valueName: "level"))
    var loglevel = "warning"

    @Option(
        name: [.short, .long], parsing: .unconditional,
        help: ArgumentHelp("How many children; the number of processors if not given.", valueName: "n"))
    var concurrency: Int?

    @Option(parsing: .unconditional, help: ArgumentHelp("How many messages per child may be claimed without running.", valueName: "n"))
    var prefetchMultiplier = 4

    @Option(
        name: [.customShort("Q"), .long],
        help: ArgumentHelp("Queues, separated by commas; those of the settings file, or celery.", valueName: "names"))
    var queues: String?

    @Option(name: [.customShort("n"), .long], help: ArgumentHelp("The node's name: NAME@HOST with %h, %n, %d, %i.", valueName: "name"))
    var hostname: String?

    @Option(parsing: .unconditional, help: ArgumentHelp("Seconds after which a task is asked to end.", valueName: "seconds"))
    var softTimeLimit: Double?

    @Option(parsing: .unconditional, help: ArgumentHelp("Seconds after which a task is killed.", valueName: "seconds"))
    var timeLimit: Double?

    @Option(help: ArgumentHelp("A variable that children get, too; may be repeated.", valueName: "name"))
    var childEnv: [String] = []

    @Option(help: ArgumentHelp("A file for the process id.", valueName: "path"))
    var pidfile: String?

    @Option(name: [.customShort("f"), .long], help: ArgumentHelp("Append the log to a file instead of standard error.", valueName: "path"))
    var logfile: String?

    @OptionGroup var connection: ConnectionFlags

    func run() throws {
        // Before anything else: a process of the same user must not read our memory and environment.
        CurrentProcess.forbidInspection()
        CurrentProcess.hidePasswordsInArguments()
        let code = try CommandFailure.reporting {
            let (options, pidPath) = try resolve()
            if let timeZone = options.timeZone {
                setenv("TZ", timeZone, 1)
                tzset()
            }
            let sink: LogSink
            do { sink = try LogSink(path: options.logFile) } catch { throw CommandFailure("--logfile: \(error)", code: 2) }
            let pid = try pidPath.map { try PidFile($0) }
            defer { pid?.remove() }
            let supervisor = try Supervisor(options: options, sink: sink)
            supervisor.onFirstChild = { tasks in
                let output = LogSink(descriptor: STDOUT_FILENO)
                output.write(Banner.text(options, tasks: tasks))
                output.flush()
            }
            do { return try supervisor.run() } catch let failure as SupervisorFailure {
                throw CommandFailure(failure.description, code: failure.code)
            }
        }
        if code != 0 { throw ExitCode(code) }
    }

    private func resolve() throws -> (SupervisorOptions, pidPath: String?) {
        let settings = try Settings(connection)
        let node = try NodeName(template: hostname, host: CurrentProcess.hostName)
        var options = SupervisorOptions(
            workerPath: try executable(), node: node.full,
            concurrency: try count(concurrency ?? CurrentProcess.processorCount, "--concurrency"),
            prefetchMultiplier: try count(prefetchMultiplier, "--prefetch-multiplier"),
            queues: try declarations(settings),
            broker: settings.broker, results: settings.results, softTimeLimit: try limit(softTimeLimit, "--soft-time-limit"),
            timeLimit: try limit(timeLimit, "--time-limit"), maximumRetries: settings.maximumRetries, timeZone: settings.timeZone,
            childEnvironment: try childVariables(), logLevel: try level(), logFile: try logfile.map { try node.path($0, "--logfile") },
            version: Coppice.version)
        options.extendsResults = settings.extendsResults
        options.resultExpiry = settings.resultExpiry
        options.storesErrorsEvenIfIgnored = settings.storesErrorsEvenIfIgnored
        if case .rabbitmq = settings.results { options.ledgerPath = try Settings.embeddedPath() }
        return (options, try pidfile.map { try node.path($0, "--pidfile") })
    }

    /// The queues that were named, in that order; else those that the settings file declares; else Celery's default.
    private func declarations(_ settings: Settings) throws -> [QueueDeclaration] {
        guard let queues else { return settings.queues.isEmpty ? ["celery"] : settings.queues }
        let names = queues.split(whereSeparator: { $0 == "," || $0 == " " }).map(String.init)
        guard !names.isEmpty else { throw CommandFailure("--queues: at least one queue is wanted", code: 2) }
        for name in names { try QueueName.check(name, "--queues") }
        var seen: Set<String> = []
        return names.filter { seen.insert($0).inserted }.map { name in
            settings.queues.first { $0.name == name } ?? QueueDeclaration(name)
        }
    }

    private func executable() throws -> String {
        var info = stat()
        guard stat(app, &info) == 0 else { throw CommandFailure("--app: \(SystemError(app))", code: 2) }
        guard info.st_mode & S_IFMT == S_IFREG else {
            throw CommandFailure("--app: \(app) is not a file: the path of a worker executable is wanted", code: 2)
        }
        guard access(app, X_OK) == 0 else { throw CommandFailure("--app: \(app) is not executable: build it, or chmod +x", code: 2) }
        return app
    }

    private func count(_ value: Int, _ flag: String) throws -> Int {
        guard (1...10_000).contains(value) else { throw CommandFailure("\(flag): \(value) is not a number from 1 to 10000", code: 2) }
        return value
    }

    private func limit(_ value: Double?, _ flag: String) throws -> Double? {
        guard let value else { return nil }
        guard value.isFinite, value > 0 else { throw CommandFailure("\(flag): not a number of seconds above 0", code: 2) }
        return value
    }

    private func level() throws -> Logger.Level {
        switch loglevel.lowercased() {
        case "debug": .debug
        case "info": .info
        case "warn", "warning": .warning
        case "error": .error
        case "critical", "fatal": .critical
        default: throw CommandFailure("--loglevel: '\(loglevel)' is none of debug, info, warning, error, critical", code: 2)
        }
    }

    private func childVariables() throws -> [String] {
        for name in childEnv where ChildEnvironment.isRefused(name) {
            throw CommandFailure("--child-env: \(name) may hold a way to the broker; children get none", code: 2)
        }
        return childEnv
    }
}
