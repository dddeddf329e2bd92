import CoppiceShared
import CoppiceSystem

/// What is known of a child's end. `Death+Words` tells it.
struct Death {
    /// Its phase, what it had in hand, and whether we killed it.
    var end: ChildLifecycle.End
    /// As the kernel tells it; nil: it has been sent SIGKILL and does not end.
    var process: ProcessEnd?
    /// Seconds from its spawn.
    var lived: Double
    /// Seconds for which the assignment in work had run; nil: none was.
    var ran: Double?
    /// Seconds of processor time; nil: it has not ended.
    var cpu: Double?
    var memory: MemoryPeak?
    /// What its main thread did when we killed it: a letter of `ProcessStatus.state`.
    var state: Character?
    /// The last that its task, or nobody's, wrote to its standard error, the oldest line first.
    var lastLines: [String] = []
    /// Whether the kernel has killed in the child's cgroup because memory was short or over its limit. False where it has none.
    var oomKilled = false
    /// It ended before it was ready, or so soon after that it makes no difference.
    var isFailedStart = false
    /// Seconds until the next attempt in its place, where it is one of a row.
    var pause: Double?
    /// It has ended, but what traces it knows alone how.
    var isHeld = false
}
