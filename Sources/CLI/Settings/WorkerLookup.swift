/// What a worker is told: its flags above the mapping `worker` of the settings file, where each flag may stand under its long name.
///
///     worker:
///       app: /usr/lib/coppice/example-worker
///       concurrency: 4
///       child-env: [HOME_OF_MODELS, LD_LIBRARY_PATH]
struct WorkerLookup {
    /// All that may stand in the file.
    static let names = Set([
        "app", "loglevel", "concurrency", "prefetch-multiplier", "queues", "hostname", "soft-time-limit", "time-limit",
        "child-start-timeout", "child-env",
        "pidfile", "logfile", "log-format", "backtraces", "refuse-canvas",
        "child-cgroup", "child-memory", "child-cpu", "child-pids", "child-user", "child-no-new-privs", "child-private-tmp",
        "child-oom-score-adj", "max-tasks-per-child", "max-memory-per-child", "max-memory-kills", "max-deaths", "suspect-memory",
    ]).union(ScalingFlags.names).union(ShutdownFlags.names)

    private var values: [String: [String]] = [:]
    private var path = ""

    /// No file, or one that says nothing of it.
    init() {}

    /// - Throws: for a name that no flag has.
    init(_ values: [String: [String]], path: String) throws(SettingsError) {
        if let unknown = values.keys.sorted().first(where: { !WorkerLookup.names.contains($0) }) {
            throw SettingsError(
                "worker in \(path)", "unknown name \(unknown); known: \(WorkerLookup.names.sorted().joined(separator: ", "))")
        }
        self.values = values
        self.path = path
    }

    /// The value and where it comes from, for error texts.
    private func found(_ flag: String?, _ name: String) throws(SettingsError) -> (text: String, source: String)? {
        if let flag { return (flag, "--\(name)") }
        guard let given = values[name] else { return nil }
        guard given.count == 1 else { throw SettingsError(source(of: name), "one value is wanted") }
        return (given[0], source(of: name))
    }

    private func source(of name: String) -> String { "worker: \(name) in \(path)" }

    func text(_ flag: String?, _ name: String) throws(SettingsError) -> String? { try found(flag, name)?.text }

    func integer(_ flag: String?, _ name: String, _ range: ClosedRange<Int>) throws(SettingsError) -> Int? {
        guard let (text, source) = try found(flag, name) else { return nil }
        guard let number = Int(text), range.contains(number) else {
            throw SettingsError(source, "'\(text)' is not a whole number from \(range.lowerBound) to \(range.upperBound)")
        }
        return number
    }

    func integer(_ flag: Int?, _ name: String, _ range: ClosedRange<Int>) throws(SettingsError) -> Int? {
        try integer(flag.map(String.init), name, range)
    }

    func seconds(_ flag: Double?, _ name: String) throws(SettingsError) -> Double? {
        guard let (text, source) = try found(flag.map { "\($0)" }, name) else { return nil }
        guard let seconds = Double(text), seconds.isFinite, seconds > 0 else {
            throw SettingsError(source, "'\(text)' is not a number of seconds above 0")
        }
        return seconds
    }

    /// `512M`, `2G`, `64K` (powers of 1024), or plain bytes; above 0.
    func bytes(_ flag: String?, _ name: String) throws(SettingsError) -> Int? {
        guard let (text, source) = try found(flag, name) else { return nil }
        let units: [Character: Int] = ["K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40]
        let unit = text.last.flatMap { units[$0] }
        let digits = unit == nil ? text[...] : text.dropLast()
        guard let number = Int(digits), number > 0, case let (size, isOver) = number.multipliedReportingOverflow(by: unit ?? 1), !isOver
        else {
            throw SettingsError(source, "'\(text)' is not a size like 512M or 2G")
        }
        return size
    }

    /// A switch: on by its flag, or as the file says.
    func isOn(_ flag: Bool, _ name: String) throws(SettingsError) -> Bool {
        guard !flag, let (text, source) = try found(nil, name) else { return flag }
        return try Lookup.flag(text, source)
    }

    /// Values of a flag that may be repeated; the file has a list, or one value.
    func list(_ flags: [String], _ name: String) -> [String] { flags.isEmpty ? values[name] ?? [] : flags }
}
