/// What the control groups that a process is in say of it. Read anew at each question: a quota may change while the process runs.
///
/// A group that is not there, or not readable, says nothing: in a container the names in /proc/self/cgroup may be the host's, and then
/// the mount's own root is the group.
public struct CgroupReadings: Sendable {
    private let root: String
    /// The own group in version 2's tree, and in version 1's tree of the cpu controller: folders, the mount's root last.
    private let unified: [String]
    private let cpu: [String]

    /// - Parameters:
    ///   - root: where the groups are mounted.
    ///   - membership: the text of /proc/self/cgroup.
    public init(root: String = "/sys/fs/cgroup", membership: String) {
        self.root = root
        var unified: [String] = []
        var cpu: [String] = []
        for line in membership.split(separator: "\n") {
            // hierarchy:controllers:path; of a version 2 group the controllers are empty. A path may hold colons.
            let parts = line.split(separator: ":", maxSplits: 2, omittingEmptySubsequences: false)
            guard parts.count == 3 else { continue }
            if parts[0] == "0", parts[1].isEmpty {
                // Beside version 1 its mount is a folder of its own.
                unified = ["", "/unified"].flatMap { CgroupReadings.upwards(from: parts[2], mount: root + $0) }
            } else if parts[1].split(separator: ",").contains("cpu") {
                cpu = ["/\(parts[1])", "/cpu"].flatMap { CgroupReadings.upwards(from: parts[2], mount: root + $0) }
            }
        }
        self.unified = unified
        self.cpu = cpu
    }

    public static var own: CgroupReadings { CgroupReadings(membership: TextFile.read("/proc/self/cgroup") ?? "") }

    /// How many processors' worth of time the process may use, by the tightest quota from its group up; nil: no quota.
    public var processorQuota: Double? {
        (unified.compactMap { TextFile.read($0 + "/cpu.max").flatMap(CgroupReadings.quota(ofMax:)) }
            + cpu.compactMap { folder in
                guard let quota = TextFile.number(folder + "/cpu.cfs_quota_us"),
                    let period = TextFile.number(folder + "/cpu.cfs_period_us"),
                    quota > 0, period > 0
                else { return nil }
                return Double(quota) / Double(period)
            })
            .min()
    }

    /// The highest pressure on `resource` from the own group up: it may be a leaf that knows nothing of its siblings, and the group that
    /// has the limits be one above. nil where the kernel does not tell.
    public func pressure(on resource: Pressure.Resource) -> Pressure? {
        unified.compactMap { TextFile.read("\($0)/\(resource.rawValue).pressure").flatMap { Pressure($0) } }
            .reduce(nil) { $0?.orHigher($1) ?? $1 }
    }

    /// `max 100000` or `150000 100000`.
    private static func quota(ofMax text: String) -> Double? {
        let fields = text.split(whereSeparator: \.isWhitespace)
        guard fields.count == 2, let quota = Int(fields[0]), let period = Int(fields[1]), quota > 0, period > 0 else { return nil }
        return Double(quota) / Double(period)
    }

    /// The folder of `path` under `mount`, its parent and so on to the mount itself.
    private static func upwards(from path: Substring, mount: String) -> [String] {
        var parts = path.split(separator: "/")
        // What lies outside of the namespace is shown with `..`; nothing below is ours to read.
        if parts.contains("..") { parts = [] }
        var folders: [String] = []
        while true {
            folders.append(([mount] + parts.map(String.init)).joined(separator: "/"))
            guard parts.popLast() != nil else { return folders }
        }
    }
}
