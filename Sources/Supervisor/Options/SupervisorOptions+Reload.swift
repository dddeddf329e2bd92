extension SupervisorOptions {
    /// What a reload makes of these options: those just read, but for what holds as long as the master runs.
    ///
    /// - Returns: the options, and the names of what would need a restart.
    func reloaded(as read: SupervisorOptions) -> (options: SupervisorOptions, differing: [String]) {
        var options = read
        var differing: [String] = []
        func keep<Value: Equatable>(_ path: WritableKeyPath<SupervisorOptions, Value>, _ name: String) {
            guard options[keyPath: path] != self[keyPath: path] else { return }
            options[keyPath: path] = self[keyPath: path]
            differing.append(name)
        }
        keep(\.broker, "the broker")
        keep(\.results, "the result store")
        keep(\.ledgerPath, "the ledger's file")
        keep(\.queues, "queues")
        keep(\.node, "hostname")
        keep(\.prefetchMultiplier, "prefetch-multiplier")
        keep(\.pidfile, "pidfile")
        keep(\.log.file, "logfile")
        keep(\.log.level, "loglevel")
        keep(\.log.format, "log-format")
        keep(\.sandbox, "the sandbox (--child-cgroup and the like)")
        keep(\.timeZone, "DATETIME_TIMEZONE")
        keep(\.resultExpiry, "CELERY_RESULT_EXPIRES")
        return (options, differing)
    }
}
