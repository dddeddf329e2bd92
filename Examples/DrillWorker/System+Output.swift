@preconcurrency import Glibc

/// The ways to standard output and error.
extension System {
    /// Through stdio, as `print` does.
    static func put(_ text: String, errors: Bool) {
        var text = text
        text.withUTF8 { _ = fwrite($0.baseAddress, 1, $0.count, errors ? stderr : stdout) }
    }

    /// In one write.
    static func putPastStdio(_ text: String, errors: Bool) {
        var text = text
        text.withUTF8 { _ = write(errors ? 2 : 1, $0.baseAddress, $0.count) }
    }

    /// By a process of its own.
    static func echo(_ text: String, errors: Bool) throws {
        var pid: pid_t = 0
        let words = ["sh", "-c", "printf %s \"$1\"" + (errors ? " >&2" : ""), "sh", text]
        var arguments: [UnsafeMutablePointer<CChar>?] = words.map { strdup($0) } + [nil]
        defer { for argument in arguments { free(argument) } }
        let failure = posix_spawn(&pid, "/bin/sh", nil, nil, &arguments, nil)
        guard failure == 0 else { throw SystemCallFailed("posix_spawn", failure) }
        waitpid(pid, nil, 0)
    }
}
