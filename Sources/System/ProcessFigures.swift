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
        guard let stat = ProcessFigures.read("/proc/\(pid)/stat"), let status = ProcessFigures.read("/proc/\(pid)/status"),
            let children = ProcessFigures.read("/proc/\(pid)/task/\(pid)/children")
        else { return nil }
        // The name, in parentheses, may hold anything; what follows is numbers: state is the third field, utime the fourteenth.
        guard let end = stat.lastIndex(of: ")") else { return nil }
        let fields = stat[end...].split(separator: " ")
        guard fields.count > 15 else { return nil }
        let ticks = fields[12...15].reduce(0) { $0 + (Int($1) ?? 0) }
        processorSeconds = Double(ticks) / Double(max(1, sysconf(Int32(_SC_CLK_TCK))))
        let peak = status.split(separator: "\n").first { $0.hasPrefix("VmHWM:") }
        peakMemory = (peak?.split(whereSeparator: { $0 == " " || $0 == "\t" }).dropFirst().first.flatMap { Int($0) } ?? 0) << 10
        self.children = children.split(whereSeparator: { $0 == " " || $0 == "\n" }).compactMap { Int32($0) }
    }

    private static func read(_ path: String) -> String? {
        guard let file = try? Descriptor.open(path, flags: O_RDONLY) else { return nil }
        var text: [UInt8] = []
        while case .bytes(let bytes)? = try? file.read(upTo: 1 << 16) { text += bytes }
        return String(decoding: text, as: UTF8.self)
    }
}
