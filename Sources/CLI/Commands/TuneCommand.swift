import ArgumentParser
import CoppiceShared
import CoppiceSystem
import Glibc

struct TuneCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "tune", abstract: "Measure a task of yours on this machine with several numbers of children.",
        discussion: """
            The task really runs, some hundred times or thousands: take arguments that do no harm. Each setting is tried with a real worker \
            on a temporary SQLite file, never on your broker; what a broker on the network adds is not in the figures. The rounds go forth \
            and back through the settings, and the medians are shown. Latency is looked at while half as many tasks come as could be done.
            Exit codes: 0, 1 the task or the worker fails, 2 a flag is wrong, 128 and the signal's number when a signal ended it: 130 INT, \
            131 QUIT, 143 TERM.
            """)

    @Option(name: [.customShort("A"), .customLong("app")], help: ArgumentHelp("The worker executable.", valueName: "path"))
    var app: String

    @Option(help: ArgumentHelp("The task's name.", valueName: "name"))
    var task: String

    @Option(name: [.short, .long], help: ArgumentHelp("Positional arguments: a JSON array.", valueName: "json"))
    var args = "[]"

    @Option(name: [.short, .long], help: ArgumentHelp("Keyword arguments: a JSON object.", valueName: "json"))
    var kwargs = "{}"

    @Option(
        name: [.customShort("c"), .long],
        help: ArgumentHelp(
            "Numbers of children to try, like 1,2,4; if not given 1, 2, the number of processors, and twice that.", valueName: "list"))
    var concurrency: String?

    @Option(help: ArgumentHelp("Prefetch multipliers to try; 1,4,16 if not given.", valueName: "list"))
    var prefetch: String?

    @Option(parsing: .unconditional, help: ArgumentHelp("Tasks a run, instead of --seconds.", valueName: "n"))
    var count: Int?

    @Option(
        parsing: .unconditional,
        help: ArgumentHelp("About how long a run takes, of 10000 tasks at most; 1 if not given.", valueName: "seconds"))
    var seconds: Double?

    @Option(parsing: .unconditional, help: ArgumentHelp("Runs of each setting.", valueName: "n"))
    var rounds = 3

    @Option(help: ArgumentHelp("A variable that children get, too; may be repeated.", valueName: "name"))
    var childEnv: [String] = []

    @Flag(help: "Print JSON.")
    var json = false

    func run() throws {
        try CommandFailure.reporting {
            let subject = TuneTask(
                app: app, name: task, arguments: try JSONFlag.array(args, "--args"), keywords: try JSONFlag.object(kwargs, "--kwargs"),
                childEnv: childEnv)
            let processors = CurrentProcess.processorCount
            let settings = try settings(processors: processors)
            guard count == nil || seconds == nil else { throw CommandFailure("either --count or --seconds", code: 2) }
            if let count, !(1...10_000).contains(count) { throw CommandFailure("--count: a number from 1 to 10000 is wanted", code: 2) }
            if let seconds, !(seconds.isFinite && seconds > 0 && seconds <= 3600) {
                throw CommandFailure("--seconds: a number above 0 and up to 3600 is wanted", code: 2)
            }
            guard (1...100).contains(rounds) else { throw CommandFailure("--rounds: a number from 1 to 100 is wanted", code: 2) }
            guard access(app, X_OK) == 0 else { throw CommandFailure("--app: \(SystemError(app))", code: 2) }
            Interruption.catchSignals()
            let bench = try TuneBench(subject)
            defer { bench.remove() }
            let bar = ProgressBar()
            defer { bar.clear() }
            let report = TuneReport(subject, processors: processors, try measure(settings, bench, bar))
            bar.clear()
            print(json ? report.json : report.table + "\n\n" + report.recommendation)
        }
    }

    private func measure(
        _ settings: [TuneSetting], _ bench: TuneBench, _ bar: ProgressBar
    ) throws -> [(setting: TuneSetting, samples: [TuneSample])] {
        let seconds = seconds ?? 1
        bar.show(0, "a trial")
        let rate = try bench.trial()
        var results = settings.map { (setting: $0, samples: [TuneSample]()) }
        for round in 0..<rounds {
            // Forth and back, so that no setting always follows the same one.
            for (place, index) in (round % 2 == 0 ? Array(settings.indices) : settings.indices.reversed()).enumerated() {
                let setting = settings[index]
                let share = Double(round * settings.count + place) / Double(rounds * settings.count)
                bar.show(share, "\(setting.concurrency) children, prefetch \(setting.prefetch)")
                let wanted = count ?? max(4 * setting.concurrency, Int(min(1e6, rate * Double(setting.concurrency) * seconds)))
                results[index].samples.append(try bench.measure(setting, count: wanted, seconds: seconds / 2))
            }
        }
        return results
    }

    private func settings(processors: Int) throws -> [TuneSetting] {
        let concurrencies =
            try concurrency.map { try TuneCommand.numbers($0, "--concurrency") } ?? TuneSetting.concurrencies(processors: processors)
        let prefetches = try prefetch.map { try TuneCommand.numbers($0, "--prefetch") } ?? TuneSetting.prefetches
        return concurrencies.flatMap { concurrency in prefetches.map { TuneSetting(concurrency: concurrency, prefetch: $0) } }
    }

    /// Each once, from 1 to 1000.
    private static func numbers(_ text: String, _ flag: String) throws -> [Int] {
        let numbers = text.split(separator: ",", omittingEmptySubsequences: false).map { Int($0) ?? 0 }
        guard numbers.allSatisfy({ (1...1000).contains($0) }) else {
            throw CommandFailure("\(flag): '\(text)' is not a list of numbers from 1 to 1000, like 1,2,4", code: 2)
        }
        return Array(Set(numbers)).sorted()
    }
}
