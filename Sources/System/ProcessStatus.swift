import Glibc

/// What /proc says of a process that has not been reaped; nil where it is silent. The numbers are the kernel's, as of now.
public enum ProcessStatus {
    /// What it does: R runs, S sleeps, D sleeps and hears no signal, T is stopped, t is held by a debugger, Z is dead and not yet reaped.
    public static func state(of pid: Int32) -> Character? { state(inFile: "/proc/\(pid)/stat") }

    private static func state(inFile path: String) -> Character? {
        // The name stands in parentheses and may hold anything, parentheses too.
        guard let text = read(path), let end = text.lastIndex(of: ")") else { return nil }
        return text[end...].dropFirst(2).first
    }

    /// Whether one of its threads runs, or would if a processor were free; false of one that sleeps, waits for a device or is stopped.
    public static func wantsProcessor(_ pid: Int32) -> Bool {
        let path = "/proc/\(pid)/task"
        guard let folder = opendir(path) else { return false }
        defer { closedir(folder) }
        // An entry lives until the next call, and its name ends with a zero.
        while let entry = readdir(folder) {
            let name = withUnsafeBytes(of: &entry.pointee.d_name) { bytes in String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self) }
            if !name.hasPrefix("."), state(inFile: "\(path)/\(name)/stat") == "R" { return true }
        }
        return false
    }

    /// Bytes: the most memory that it has had resident since its program began. A dead process has none.
    public static func peakMemory(of pid: Int32) -> Int? {
        guard let text = read("/proc/\(pid)/status"), let label = text.firstRange(of: "VmHWM:") else { return nil }
        return Int(text[label.upperBound...].drop { $0 == " " || $0 == "\t" }.prefix { $0.isNumber }).map { $0 << 10 }
    }

    /// When it was started, in clock ticks from the machine's start: tells it from a later process of its number.
    public static func startTime(of pid: Int32) -> Int? {
        guard let text = read("/proc/\(pid)/stat"), let end = text.lastIndex(of: ")") else { return nil }
        let fields = text[text.index(after: end)...].split(separator: " ")
        return fields.count > 19 ? Int(fields[19]) : nil
    }

    private static func read(_ path: String) -> String? {
        guard let file = try? Descriptor.open(path, flags: O_RDONLY), case .bytes(let bytes)? = try? file.read(upTo: 1 << 13) else {
            return nil
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}
