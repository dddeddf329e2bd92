import CoppiceSystem

/// The most memory that a child had resident, as far as it can be known. In bytes.
///
/// Once a process is dead the kernel tells one figure, which begins with its parent's peak at the spawn (`ProcessUsage.peak`); whom we
/// kill ourselves we can look at before.
enum MemoryPeak: Equatable {
    case exactly(Int)
    /// It needed less than its parent had at most.
    case below(Int)

    /// - Parameters:
    ///   - reaped: What the kernel told of the dead process; nil: it has not ended.
    ///   - parent: The parent's peak when the process was spawned; nil: not known.
    ///   - seen: The process's own peak when it was killed; nil: nobody looked, or it was dead already.
    init?(reaped: Int?, parent: Int?, seen: Int?) {
        if let reaped, let parent, reaped > parent {
            self = .exactly(reaped)
        } else if let seen {
            self = .exactly(seen)
        } else if let reaped, parent != nil {
            self = .below(reaped)
        } else {
            return nil
        }
    }
}
