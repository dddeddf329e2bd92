import CLinux
import Glibc

/// RLIMIT_NOFILE: how many files a process may have open.
public struct DescriptorLimit: Equatable, Sendable {
    public var soft: UInt64
    public var hard: UInt64

    public static var current: DescriptorLimit {
        var limit = rlimit()
        getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
        return DescriptorLimit(soft: UInt64(limit.rlim_cur), hard: UInt64(limit.rlim_max))
    }

    /// Raises this process's soft limit to the hard one and returns what it was.
    public static func raise() -> DescriptorLimit {
        let before = current
        _ = coppice_set_descriptor_limit(0, before.hard, before.hard)
        return before
    }
}
