import CoppiceSystem

/// What a child may use and do. Each is off unless it is set; a child without any of it is started without detour.
public struct SandboxOptions: Sendable, Equatable {
    /// Whether children get cgroups of their own below the master's.
    public enum Groups: String, Sendable, CaseIterable {
        /// Where the master's cgroup was delegated to it, as by systemd's `Delegate=`.
        case auto
        /// The operator says that the master's cgroup is its own to manage; a start fails where that can't be.
        case on
        case off
    }

    public var groups = Groups.auto
    /// Bytes that a child and all that it starts may hold; without a memory controller: bytes of data, of each of its processes.
    public var memory: Int?
    /// Percent of one processor that a child and all that it starts may use.
    public var processor: Int?
    /// Processes and threads that a child may have.
    public var processes: Int?
    /// No program that it starts gains rights, whatever its file says.
    public var forbidsNewPrivileges = false
    /// Whom it runs as, as the operator names it, and who that is; nil: as the master.
    public var userName: String?
    public var user: UserAccount?
    /// Whether each child has a folder of its own for temporary files, which goes with it.
    public var hasPrivateFolder = false
    /// What is added to the master's oom_score_adj: by so much sooner does the kernel kill a child when memory is short.
    public var oomScoreAdjustment = 500

    public init() {}
}
