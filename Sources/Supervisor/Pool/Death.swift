import CoppiceShared
import CoppiceSystem

/// What is known of a child's end.
struct Death {
    /// Its phase, what it had in hand, and whether we killed it.
    var end: ChildLifecycle.End
    /// As the kernel tells it.
    var process: ProcessEnd
    /// Seconds from its spawn.
    var lived: Double
    /// Seconds for which the assignment in work had run; nil: none was.
    var ran: Double?
}
