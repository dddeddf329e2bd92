import Glibc

/// What the kernel tells everybody of a process.
public struct ProcessFigures: Sendable {
    /// Seconds of processor time, with that of children that it has reaped.
    public let processorSeconds: Double
    /// The most memory that it has had in the processor's reach (VmHWM), in bytes.
    public let peakMemory: Int
    public let children: [Int32]

    /// nil: it is gone.
    public init?(of pid: Int32) {
        guard let fields = ProcessStatus.fields(inFile: "/proc/\(pid)/stat"), fields.count > 14,
            let children = TextFile.read("/proc/\(pid)/task/\(pid)/children")
        else { return nil }
        // utime, stime, cutime, cstime
        let ticks = fields[11...14].reduce(0) { $0 + (Int($1) ?? 0) }
        processorSeconds = Double(ticks) / Double(max(1, sysconf(Int32(_SC_CLK_TCK))))
        peakMemory = ProcessStatus.peakMemory(of: pid) ?? 0
        self.children = children.split(whereSeparator: { $0 == " " || $0 == "\n" }).compactMap { Int32($0) }
    }
}
