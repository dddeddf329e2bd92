import CoppiceWorkerProcess
import Glibc

/// What the drills do to their process.
enum System {
    static var processID: Int { Int(getpid()) }
    static var parentID: Int { Int(getppid()) }

    static var monotonicNanoseconds: Int {
        var now = timespec()
        clock_gettime(CLOCK_MONOTONIC, &now)
        return now.tv_sec * 1_000_000_000 + now.tv_nsec
    }

    /// What this process has used.
    static var processorSeconds: Double {
        var used = timespec()
        clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used)
        return Double(used.tv_sec) + Double(used.tv_nsec) / 1e9
    }

    static func variable(_ name: String) -> String? { getenv(name).map { String(cString: $0) } }

    static func signalSelf(_ signal: Int32) {
        raise(signal)
    }

    static func exit(_ code: Int32) -> Never { Glibc.exit(code) }

    /// Starts /bin/sleep with every descriptor that this process was given, and does not wait for it.
    static func spawnSleep(seconds: Double) throws -> Int {
        var pid: pid_t = 0
        var arguments: [UnsafeMutablePointer<CChar>?] = [strdup("sleep"), strdup("\(seconds)"), nil]
        defer { for argument in arguments { free(argument) } }
        let failure = posix_spawn(&pid, "/bin/sleep", nil, nil, &arguments, nil)
        guard failure == 0 else { throw SystemCallFailed("posix_spawn", failure) }
        return Int(pid)
    }

    /// A line on standard error, in one write.
    static func complain(_ line: String) {
        let bytes = Array((line + "\n").utf8)
        _ = bytes.withUnsafeBytes { write(2, $0.baseAddress, $0.count) }
    }

    static func append(_ line: String, to path: String) throws {
        guard let file = fopen(path, "a") else { throw SystemCallFailed("open \(path)", errno) }
        // One buffer, one write.
        let failed = fputs(line, file) < 0
        guard fclose(file) == 0, !failed else { throw SystemCallFailed("write \(path)", errno) }
    }
}

struct SystemCallFailed: Error, CustomStringConvertible {
    let description: String

    init(_ what: String, _ code: Int32) { description = "\(what): \(String(cString: strerror(code)))" }
}
