import CLinux
import Glibc

/// What this process does to itself.
public enum CurrentProcess {
    public static var id: Int32 { getpid() }
    public static var parent: Int32 { getppid() }

    /// Keeps processes of the same user from reading this one's environment, memory and descriptors, and from tracing it.
    public static func forbidInspection() { _ = coppice_set_dumpable(0) }

    /// Asks the kernel to send SIGKILL here when the parent dies. What died before the call is not noticed: compare `parent`.
    public static func dieWithParent() { _ = coppice_set_parent_death_signal(SIGKILL) }

    /// Writing to a closed pipe is then an error and no signal. By a handler: SIG_IGN would be what each program that is started has, too.
    public static func ignoreBrokenPipes() { Glibc.signal(SIGPIPE) { _ in } }

    /// Writing beyond RLIMIT_FSIZE is then an error, as on a full disk, and no signal. By a handler, likewise.
    public static func surviveFileSizeLimit() { Glibc.signal(SIGXFSZ) { _ in } }

    /// No program that this process starts gets the descriptor.
    public static func keepToOurselves(_ descriptor: Int32) { _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC) }

    /// Overwrites the passwords of URLs among the arguments, so that `ps` does not show them. The arguments must have been read before.
    public static func hidePasswordsInArguments() {
        for index in 0..<Int(CommandLine.argc) {
            // The kernel's own copy of the argument: null-terminated, writable, as long as the process lives.
            guard let argument = CommandLine.unsafeArgv[index] else { continue }
            let bytes = (0..<strlen(argument)).map { UInt8(bitPattern: argument[$0]) }
            for range in passwords(in: bytes) { for offset in range { argument[offset] = CChar(UInt8(ascii: "*")) } }
        }
    }

    /// Where in a URL, or a list of them, passwords may stand: from the scheme to the last `@`, since a name alone may be a password that
    /// was put in the wrong place, and in the value of `sentinel_password`. The bytes need not be UTF-8.
    static func passwords(in bytes: [UInt8]) -> [Range<Int>] {
        guard let scheme = bytes.firstRange(of: "://".utf8) else { return [] }
        var found: [Range<Int>] = []
        if let at = bytes[scheme.upperBound...].lastIndex(of: UInt8(ascii: "@")) { found.append(scheme.upperBound..<at) }
        for name in bytes.ranges(of: "sentinel_password=".utf8) {
            let end = bytes[name.upperBound...].firstIndex { $0 == UInt8(ascii: "&") || $0 == UInt8(ascii: ";") } ?? bytes.endIndex
            found.append(name.upperBound..<end)
        }
        return found
    }

    /// How many processors this process may use: its affinity, or its control groups' quota, rounded up, if that is less.
    public static var processorCount: Int {
        processorCount(affinity: Int(coppice_processor_count()), quota: CgroupReadings.own.processorQuota)
    }

    static func processorCount(affinity: Int, quota: Double?) -> Int {
        max(1, min(affinity, quota.map { Int(min($0.rounded(.up), 1_000_000)) } ?? affinity))
    }

    public static func environment(_ name: String) -> String? { getenv(name).map { String(cString: $0) } }

    /// All variables as `NAME=value`.
    public static var environment: [String] {
        var out: [String] = []
        guard var entry = coppice_environment() else { return out }
        // environ is an array of C strings that ends with a null pointer; this process is single-threaded or does not change it.
        while let text = entry.pointee {
            out.append(String(cString: text))
            entry += 1
        }
        return out
    }

    /// The host's name as the kernel has it.
    public static var hostName: String {
        var buffer = [CChar](repeating: 0, count: 256)
        gethostname(&buffer, buffer.count - 1)
        return String(decoding: buffer.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }
}

extension CurrentProcess {
    /// Whether it has the rights to start processes of another user and to end them: CAP_KILL, CAP_SETGID, CAP_SETUID.
    public static var mayStartOtherUsers: Bool { has([5, 6, 7]) }

    /// Whether it may change the limits of another user's process (CAP_SYS_RESOURCE).
    public static var mayLimitOtherUsers: Bool { has([24]) }

    /// Whether these capabilities are effective, by the kernel's numbers.
    private static func has(_ capabilities: [Int]) -> Bool {
        guard let text = TextFile.read("/proc/self/status"),
            let line = text.split(separator: "\n").first(where: { $0.hasPrefix("CapEff:") }),
            let set = UInt64(line.dropFirst("CapEff:".count).drop(while: \.isWhitespace), radix: 16)
        else { return false }
        return capabilities.allSatisfy { set & (1 << $0) != 0 }
    }

    /// Its executable's path; nil if it has been removed or /proc is not there.
    public static var executable: String? {
        var buffer = [CChar](repeating: 0, count: Int(PATH_MAX))
        let length = readlink("/proc/self/exe", &buffer, buffer.count)
        guard length > 0 else { return nil }
        return String(decoding: buffer.prefix(length).map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    /// Whether a descriptor of this number was handed to the process.
    public static func hasDescriptor(_ number: Int32) -> Bool { coppice_is_open(number) != 0 }

    /// Makes each line that is printed leave at once and in one piece, on standard output and error, also into a pipe.
    public static func printLineByLine() { coppice_line_buffer_output() }

    /// What is printed from here on, by `print` and all else that goes through stdio, is this assignment's: before the first of it comes
    /// the mark that `PIPE_PROTOCOL.md` describes. Nothing is written where nothing is printed.
    public static func beginOutput(of assignment: UInt64) { coppice_begin_output(assignment) }

    /// What was printed leaves, also the beginning of a line.
    public static func endOutput() { coppice_end_output() }

    /// Ends the process here and now: no exit handlers, no flushing, whatever the other threads do.
    public static func endNow(_ code: Int32) -> Never { _exit(code) }

    /// Ends the process after what was printed has left; other threads' exit handlers and destructors are not run.
    public static func end(_ code: Int32) -> Never {
        fflush(nil)
        _exit(code)
    }

    /// Writes a line to standard error, in one piece.
    public static func complain(_ line: String) {
        let bytes = Array((line + "\n").utf8)
        _ = bytes.withUnsafeBytes { write(2, $0.baseAddress, $0.count) }
    }

    private static let exitWork = Monitor<[@Sendable () -> Void]>([])

    /// Runs `body` when somebody calls `exit`, on the thread that does.
    public static func atExit(_ body: @escaping @Sendable () -> Void) {
        let isFirst = exitWork.withLock { work in
            work.append(body)
            return work.count == 1
        }
        // A C function can't carry a closure along: one that runs them all is registered.
        if isFirst { atexit { for body in CurrentProcess.exitWork.withLock({ $0 }) { body() } } }
    }
}
