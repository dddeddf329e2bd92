/// The environment that children get: a short list of harmless variables and those that the operator named.
public struct ChildEnvironment {
    private static let allowed: Set<String> = ["PATH", "HOME", "LANG", "TZ", "TMPDIR"]
    /// Names that may hold a way to the broker; they reach no child, whatever the operator says.
    private static let refusedPrefixes = ["CELERY_", "COPPICE_", "REDIS", "RABBITMQ_", "AMQP_", "BROKER_"]

    /// The thread that crashed, with the lines of its source, as plain text for the log.
    private static let backtraces =
        "enable=yes,interactive=no,color=no,output-to=stderr,threads=crashed,registers=none,images=none,limit=64,sanitize=no"

    /// Whether `--child-env NAME` is refused.
    public static func isRefused(_ name: String) -> Bool { refusedPrefixes.contains { name.hasPrefix($0) } }

    /// `NAME=value` entries.
    let entries: [String]

    init(parent: [String], names: [String], timeZone: String?, backtraces: Bool = false) {
        let extra = Set(names.filter { !ChildEnvironment.isRefused($0) })
        var entries = parent.filter { entry in
            let name = String(entry.prefix { $0 != "=" })
            if name == "TZ", timeZone != nil { return false }
            return ChildEnvironment.allowed.contains(name) || name.hasPrefix("LC_") || extra.contains(name)
        }
        if let timeZone { entries.append("TZ=\(timeZone)") }
        // A crash report by Swift's runtime keeps the dying child for seconds; who wants it says so, or names the variable.
        if !extra.contains("SWIFT_BACKTRACE") {
            entries.append("SWIFT_BACKTRACE=\(backtraces ? ChildEnvironment.backtraces : "enable=no")")
        }
        // libdispatch gives its threads nice values that take a right, and tells syslog each time that it may not, past the node's log.
        if !extra.contains("LIBDISPATCH_LOG") { entries.append("LIBDISPATCH_LOG=NO") }
        self.entries = entries
    }
}
