import Glibc

/// What a process has in memory.
public enum ResidentMemory {
    /// Bytes, as `ps` says them under RSS; nil when there is no such process. A read of one line: cheap, whatever the process's size.
    public static func of(_ pid: Int32) -> Int? {
        guard let fields = TextFile.read("/proc/\(pid)/statm")?.split(separator: " ") else { return nil }
        return fields.count > 1 ? Int(fields[1]).map { $0 * sysconf(Int32(_SC_PAGESIZE)) } : nil
    }
}
