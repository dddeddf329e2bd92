import CLinux
import CoppiceShared
import Glibc

/// A spawned process, held by its pidfd: a signal through it can never hit another process that was given the same pid.
public final class ChildProcess {
    public let pid: Int32
    /// Readable when the process has ended.
    public let pidfd: Descriptor

    private init(pid: Int32, pidfd: Descriptor) {
        self.pid = pid
        self.pidfd = pidfd
    }

    /// The descriptors that the new process gets as its own 0, 1, 2, …, in that order. It gets no others.
    public struct Descriptors {
        public var inherited: [Descriptor]
        public init(_ inherited: [Descriptor]) { self.inherited = inherited }
    }

    /// Whether a process can be started in a cgroup. A filter of system calls that can't look into clone3's arguments hides it, as systemd's
    /// `RestrictNamespaces=` and containers do; to move a process from outside takes the kernel up to 40 ms, as was measured, since it waits for
    /// all processors. There a process has to go by itself, before its program begins.
    public static let canStartInCgroup = coppice_may_spawn_into_cgroup() != 0

    /// Starts `path` in a process group of its own, with no signal blocked or ignored; in a cgroup, if one is given, from its first
    /// instruction on: where `canStartInCgroup`.
    ///
    /// - Throws: what execve said (missing, not executable, wrong format) or what fork did (EAGAIN, ENOMEM).
    public static func spawn(
        path: String, arguments: [String], environment: [String], descriptors: Descriptors, cgroup: ControlGroup? = nil
    ) throws(SystemError) -> ChildProcess {
        if let cgroup {
            return try born(in: try cgroup.open(), path: path, arguments: arguments, environment: environment, descriptors)
        }
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        // Two steps, since a source may stand where a target goes: first out of the way, then into place. dup2 onto another
        // number clears close-on-exec; closefrom takes what is left.
        let sources = descriptors.inherited.map(\.raw)
        let count = Int32(sources.count)
        // Out of the way is above every source: parking one there overwrites none that has yet to be parked.
        let parkingPlace = max(count, (sources.max() ?? 0) + 1)
        var failures: [Int32] = []
        for (index, source) in zip(0..<count, sources) {
            failures.append(posix_spawn_file_actions_adddup2(&actions, source, parkingPlace + index))
        }
        for index in 0..<count { failures.append(posix_spawn_file_actions_adddup2(&actions, parkingPlace + index, index)) }
        failures.append(coppice_close_from(&actions, count))
        if let failure = failures.first(where: { $0 != 0 }) { throw startFailure(path, failure) }

        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        var none = sigset_t()
        var all = sigset_t()
        sigemptyset(&none)
        sigfillset(&all)
        posix_spawnattr_setsigmask(&attributes, &none)
        posix_spawnattr_setsigdefault(&attributes, &all)
        posix_spawnattr_setpgroup(&attributes, 0)
        posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP))

        var pid: pid_t = 0
        let failure = withCStrings(arguments) { argv in
            withCStrings(environment) { envp in posix_spawn(&pid, path, &actions, &attributes, argv, envp) }
        }
        guard failure == 0 else { throw startFailure(path, failure) }
        // Safe although the pid is only a number: nobody but this process reaps it, so it can't have been given away.
        let pidfd = coppice_pidfd_open(pid)
        guard pidfd >= 0 else {
            let failure = SystemError("pidfd_open")
            discard(pid)
            throw failure
        }
        return ChildProcess(pid: pid, pidfd: Descriptor(owning: pidfd))
    }

    /// The descriptors are open: what is called a bad one is a number above the limit, where one is put out of the way.
    private static func startFailure(_ path: String, _ code: Int32) -> SystemError {
        SystemError("start \(path)", code: code == EBADF ? EMFILE : code)
    }

    /// glibc's posix_spawn can't start into a cgroup before its version 2.39.
    private static func born(
        in cgroup: Descriptor, path: String, arguments: [String], environment: [String], _ descriptors: Descriptors
    ) throws(SystemError) -> ChildProcess {
        let sources = descriptors.inherited.map(\.raw)
        var pidfd: Int32 = -1
        let pid = withCStrings(arguments) { argv in
            withCStrings(environment) { envp in
                path.withCString { path in
                    // All pointers are used within the call alone, and by the copy of this process that it makes.
                    argv.withUnsafeBufferPointer { argv in
                        envp.withUnsafeBufferPointer { envp in
                            sources.withUnsafeBufferPointer { sources in
                                var birth = coppice_birth(
                                    path: path, arguments: argv.baseAddress, environment: envp.baseAddress,
                                    descriptors: sources.baseAddress, count: Int32(sources.count), cgroup: cgroup.raw)
                                return coppice_spawn_into_cgroup(&birth, &pidfd)
                            }
                        }
                    }
                }
            }
        }
        guard pid > 0 else { throw startFailure(path, -pid) }
        return ChildProcess(pid: pid, pidfd: Descriptor(owning: pidfd))
    }

    /// Sends a signal to the process alone. A process that has ended is no error.
    public func signal(_ number: Int32) {
        _ = coppice_pidfd_send_signal(pidfd.raw, number)
    }

    /// Sends a signal to the process group that the child leads: to whatever it has spawned, too.
    ///
    /// Only before the child is reaped, while its pid (and so the group's number) can't have been given to another.
    public func signalGroup(_ number: Int32) {
        Glibc.kill(-pid, number)
    }

    /// How the process ended and what it has used; nil while it runs. Reaps it: call no more after a result.
    public func reap() -> (end: ProcessEnd, usage: ProcessUsage)? {
        var result = coppice_exit()
        guard coppice_reap(pidfd.raw, &result) != 0 else { return nil }
        return (
            result.signaled != 0 ? .signal(result.status) : .exit(result.status),
            ProcessUsage(cpu: Double(result.cpu_microseconds) / 1e6, peak: Int(result.peak_kilobytes) << 10)
        )
    }

    /// Kills the process and reaps it. For one that has only just been started and is not wanted: it is gone at once.
    public func discard() { ChildProcess.discard(pid) }

    private static func discard(_ pid: Int32) {
        Glibc.kill(-pid, SIGKILL)
        waitpid(pid, nil, 0)
    }

    /// How much sooner than by its memory alone the kernel kills it when there is none left: -1000 to 1000. Refused, it stays as it was.
    public func setOOMScoreAdjustment(_ value: Int) {
        guard let file = try? Descriptor.open("/proc/\(pid)/oom_score_adj", flags: O_WRONLY) else { return }
        _ = try? file.write(Array(String(value).utf8))
    }

    /// Sets the process's soft limit of data (its private writable memory), in bytes, as far as its hard limit allows. What it has above
    /// that it keeps; it gets no more.
    ///
    /// - Returns: what the limit was before; nil: it is unchanged, since the process is gone or another user's.
    public func setSoftDataLimit(_ bytes: UInt64) -> UInt64? {
        var before: UInt64 = 0
        return coppice_set_soft_data_limit(pid, bytes, &before) == 0 ? before : nil
    }

    /// Gives the process the soft limit of open files that this one was started with.
    public func resetDescriptorLimit(_ limits: DescriptorLimit) {
        _ = coppice_set_descriptor_limit(pid, limits.soft, limits.hard)
    }
}

/// Calls `body` with a null-terminated array of C strings, which live as long as the call.
private func withCStrings<Value>(_ strings: [String], _ body: ([UnsafeMutablePointer<CChar>?]) -> Value) -> Value {
    let copies = strings.map { strdup($0) }
    defer { for copy in copies { free(copy) } }
    return body(copies + [nil])
}
