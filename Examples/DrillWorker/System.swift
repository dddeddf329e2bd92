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
    ///
    /// - Parameter ownSession: whether it leaves this process' group and session.
    static func spawnSleep(seconds: Double, ownSession: Bool = false) throws -> Int {
        var pid: pid_t = 0
        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        // POSIX_SPAWN_SETSID; glibc hides the name.
        if ownSession { posix_spawnattr_setflags(&attributes, 0x80) }
        // A descriptor put on itself is not closed by exec.
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        for pipe: Int32 in [3, 4] { posix_spawn_file_actions_adddup2(&actions, pipe, pipe) }
        var arguments: [UnsafeMutablePointer<CChar>?] = [strdup("sleep"), strdup("\(seconds)"), nil]
        defer { for argument in arguments { free(argument) } }
        let failure = posix_spawn(&pid, "/bin/sleep", &actions, &attributes, &arguments, nil)
        guard failure == 0 else { throw SystemCallFailed("posix_spawn", failure) }
        return Int(pid)
    }

    /// A line on standard error, in one write.
    static func complain(_ line: String) {
        let bytes = Array((line + "\n").utf8)
        _ = bytes.withUnsafeBytes { write(2, $0.baseAddress, $0.count) }
    }

    static func exists(_ path: String) -> Bool { access(path, F_OK) == 0 }

    static func append(_ line: String, to path: String) throws {
        guard let file = fopen(path, "a") else { throw SystemCallFailed("open \(path)", errno) }
        // One buffer, one write.
        let failed = fputs(line, file) < 0
        guard fclose(file) == 0, !failed else { throw SystemCallFailed("write \(path)", errno) }
    }

    // The pipes' numbers are those of docs/PIPE_PROTOCOL.md: 3 from the master, 4 to it.

    static func closePipeUp() { close(4) }

    /// Writes to the master in one piece, past the library.
    static func writeUp(_ bytes: [UInt8]) { _ = write(4, bytes, bytes.count) }

    /// Heartbeats for so many seconds, each piece small enough that the pipe takes it whole between the library's own.
    static func babble(seconds: Double) {
        let beat: [UInt8] = [0, 0, 0, 9, 5, 0, 0, 0, 0, 0, 0, 0, 0]
        let beats = [UInt8]((0..<300).map { _ in beat }.joined())
        let end = monotonicNanoseconds + Int(seconds * 1e9)
        while monotonicNanoseconds < end { writeUp(beats) }
    }

    /// The pipe from the master stays open, and what is read is another one, into which nobody writes.
    static func stopReading() {
        var ends: [Int32] = [-1, -1]
        guard dup(3) >= 0, pipe(&ends) == 0 else { return }
        dup2(ends[0], 3)
    }

    /// A file that takes what room there is.
    struct Filler {
        let path: String
        let bytes: Int

        func clear() { unlink(path) }
    }

    static func fillDisk(of folder: String) throws -> Filler {
        let path = "\(folder)/filler"
        let file = open(path, O_WRONLY | O_CREAT, 0o600)
        guard file >= 0 else { throw SystemCallFailed("open \(path)", errno) }
        defer { close(file) }
        let piece = [UInt8](repeating: 0, count: 1 << 12)
        var bytes = 0
        while true {
            let count = write(file, piece, piece.count)
            if count <= 0 { return Filler(path: path, bytes: bytes) }
            bytes += count
        }
    }
}

struct SystemCallFailed: Error, CustomStringConvertible {
    let description: String

    init(_ what: String, _ code: Int32) { description = "\(what): \(String(cString: strerror(code)))" }
}
