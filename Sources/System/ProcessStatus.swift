/// What /proc says of a process that has not been reaped; nil where it is silent. The numbers are the kernel's, as of now.
public enum ProcessStatus {
    /// What it does: R runs, S sleeps, D sleeps and hears no signal, T is stopped, t is held by a debugger, Z is dead and not yet reaped.
    public static func state(of pid: Int32) -> Character? { state(inFile: "/proc/\(pid)/stat") }

    private static func state(inFile path: String) -> Character? {
        fields(inFile: path)?.first?.first
    }

    /// What a `stat` file has behind the name: the state first. The name stands in parentheses and may hold anything, parentheses too.
    static func fields(inFile path: String) -> [Substring]? {
        guard let text = TextFile.read(path), let end = text.lastIndex(of: ")") else { return nil }
        return text[text.index(after: end)...].split(separator: " ")
    }

    /// Whether one of its threads runs, or would if a processor were free; false of one that sleeps, waits for a device or is stopped.
    public static func wantsProcessor(_ pid: Int32) -> Bool {
        let path = "/proc/\(pid)/task"
        return Folder.names(in: path).contains { state(inFile: "\(path)/\($0)/stat") == "R" }
    }

    /// Bytes: the most memory that it has had resident since its program began. A dead process has none.
    public static func peakMemory(of pid: Int32) -> Int? {
        guard let text = TextFile.read("/proc/\(pid)/status"), let label = text.firstRange(of: "VmHWM:") else { return nil }
        return Int(text[label.upperBound...].drop { $0 == " " || $0 == "\t" }.prefix { $0.isNumber }).map { $0 << 10 }
    }

    /// When it was started, in clock ticks from the machine's start: tells it from a later process of its number.
    public static func startTime(of pid: Int32) -> Int? {
        guard let fields = fields(inFile: "/proc/\(pid)/stat") else { return nil }
        return fields.count > 19 ? Int(fields[19]) : nil
    }
}
