import CoppiceShared

/// The runs' medians, and what they recommend.
struct TuneReport {
    /// The version of `--json`.
    private static let version = 1
    /// What is this close to the best is as good.
    private static let margin = 0.05

    private let task: TuneTask
    private let processors: Int
    private let rows: [(setting: TuneSetting, median: TuneSample, rounds: [TuneSample])]

    /// - Parameter samples: of at least one setting, at least one each.
    init(_ task: TuneTask, processors: Int, _ samples: [(setting: TuneSetting, samples: [TuneSample])]) {
        self.task = task
        self.processors = processors
        rows = samples.map { ($0.setting, TuneSample(medianOf: $0.samples), $0.samples) }
    }

    private var best: (setting: TuneSetting, rate: Double)? {
        rows.max { $0.median.tasksPerSecond < $1.median.tasksPerSecond }.map { ($0.setting, $0.median.tasksPerSecond) }
    }

    /// Of all that are about as fast as the best: the fewest children, and of those the least that is claimed ahead.
    private var frugal: (setting: TuneSetting, rate: Double)? {
        guard let best else { return nil }
        return rows.filter { $0.median.tasksPerSecond >= best.rate * (1 - TuneReport.margin) }
            .min { ($0.setting.concurrency, $0.setting.prefetch) < ($1.setting.concurrency, $1.setting.prefetch) }
            .map { ($0.setting, $0.median.tasksPerSecond) }
    }

    // MARK: for people

    var table: String {
        var table = TextTable(
            ["CHILDREN", "PREFETCH", "TASKS/S", "RUN P50", "P95", "LATENCY P50", "P95", "PROCESSORS", "MEMORY/CHILD"],
            numeric: Set(0...8))
        for row in rows {
            let run = row.median.runTime
            let latency = row.median.latency
            table.append([
                "\(row.setting.concurrency)", "\(row.setting.prefetch)", TuneReport.rounded(row.median.tasksPerSecond),
                TuneReport.time(run?.half), TuneReport.time(run?.most), TuneReport.time(latency?.half), TuneReport.time(latency?.most),
                TuneReport.rounded(row.median.processors), "\(TuneReport.rounded(Double(row.median.childMemory) / 1_048_576)) MB",
            ])
        }
        return table.text
    }

    var recommendation: String {
        guard let best, let frugal else { return "" }
        guard best.setting != frugal.setting else {
            return "Fastest, and nothing smaller is within 5 % of it: \(best.setting.flags), \(TuneReport.rounded(best.rate)) tasks/s."
        }
        return """
            Fastest: \(best.setting.flags), \(TuneReport.rounded(best.rate)) tasks/s.
            Recommended: \(frugal.setting.flags), \(TuneReport.rounded(frugal.rate)) tasks/s: the fewest children within 5 % of that.
            """
    }

    /// Three digits that count: `0.0123`, `4.56`, `789`, `12345`.
    private static func rounded(_ value: Double) -> String {
        guard value.isFinite, value > 0 else { return "0" }
        guard value < 100 else { return "\(Int(min(value, 1e15).rounded()))" }
        var scale = 1.0
        while value * scale < 100, scale < 1e6 { scale *= 10 }
        let text = "\((value * scale).rounded() / scale)"
        return text.hasSuffix(".0") ? String(text.dropLast(2)) : text
    }

    private static func time(_ seconds: Double?) -> String {
        guard let seconds else { return "-" }
        return seconds < 0.001 ? "<1 ms" : seconds < 10 ? "\(rounded(seconds * 1000)) ms" : "\(rounded(seconds)) s"
    }

    // MARK: for programs

    var json: String {
        let settings: [JSONValue] = rows.map { row in
            [
                "concurrency": .int(row.setting.concurrency), "prefetch_multiplier": .int(row.setting.prefetch),
                "tasks_per_second": .double(row.median.tasksPerSecond), "run_seconds": TuneReport.json(row.median.runTime),
                "latency_seconds": TuneReport.json(row.median.latency), "processors": .double(row.median.processors),
                "child_bytes": .int(row.median.childMemory), "rounds": .array(row.rounds.map { .double($0.tasksPerSecond) }),
            ]
        }
        let root: JSONValue = [
            "v": .int(TuneReport.version), "task": .string(task.name), "app": .string(task.app), "processors": .int(processors),
            "settings": .array(settings), "fastest": TuneReport.json(best?.setting), "recommended": TuneReport.json(frugal?.setting),
        ]
        return root.text
    }

    private static func json(_ times: TuneSample.Percentiles?) -> JSONValue {
        times.map { ["p50": .double($0.half), "p95": .double($0.most)] } ?? nil
    }

    private static func json(_ setting: TuneSetting?) -> JSONValue {
        setting.map { ["concurrency": .int($0.concurrency), "prefetch_multiplier": .int($0.prefetch)] } ?? nil
    }
}
