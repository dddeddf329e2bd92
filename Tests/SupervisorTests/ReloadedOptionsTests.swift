import Testing

@testable import CoppiceSupervisor

/// `LiveOptions` are taken over whole; of the others those that differ are named.
@Suite struct ReloadedOptionsTests {
    private static let options = SupervisorOptions(
        node: "a@b", prefetchMultiplier: 4, queues: ["celery"], broker: .sqlite(path: "/one"), results: .sqlite(path: "/one"),
        timeZone: nil, log: LogOptions(), version: "0")

    @Test func whatTakesARestartIsNamed() {
        var read = Self.options
        read.broker = .sqlite(path: "/two")
        read.results = .sqlite(path: "/two")
        read.ledgerPath = "/two"
        read.queues = ["celery", "more"]
        read.node = "c@d"
        read.prefetchMultiplier = 1
        read.pidfile = "/pid"
        read.log = LogOptions(level: .debug, file: "/log", format: .json)
        read.sandbox.userName = "nobody"
        read.timeZone = "Asia/Shanghai"
        read.resultExpiry = 1
        let differing = Self.options.differences(from: read)
        #expect(
            differing == [
                "the broker", "the result store", "the ledger's file", "queues", "hostname", "prefetch-multiplier", "pidfile", "logfile",
                "loglevel", "log-format", "the sandbox (--child-user and the like)", "DATETIME_TIMEZONE", "CELERY_RESULT_EXPIRES",
            ])
        #expect(Self.options.differences(from: Self.options).isEmpty)
        // No option is left out: the three of `log` are one here; version, reload reports and a former ledger's file are no settings.
        #expect(Mirror(reflecting: read).children.count == differing.count - 2 + 3)
    }
}
