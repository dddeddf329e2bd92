/// What a process has used in its life, as the kernel tells when it is reaped.
public struct ProcessUsage: Equatable, Sendable {
    /// Seconds of processor time, the user's and the kernel's; what it has spawned and waited for counts.
    public var cpu: Double
    /// Bytes: the most memory that it had resident. It begins with what its parent's most was at the spawn, since posix_spawn shares the parent's memory
    /// until the new program runs: it tells of the process itself only where it is above that.
    public var peak: Int

    public init(cpu: Double, peak: Int) {
        self.cpu = cpu
        self.peak = peak
    }
}
