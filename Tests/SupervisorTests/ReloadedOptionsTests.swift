import Testing

@testable import CoppiceSupervisor

@Suite struct ReloadedOptionsTests {
    private static let options = SupervisorOptions(
        workerPath: "/bin/true", node: "a@b", concurrency: 2, prefetchMultiplier: 4, queues: ["celery"],
        broker: .sqlite(path: "/one"), results: .sqlite(path: "/one"), softTimeLimit: nil, timeLimit: nil, maximumRetries: 5, timeZone: nil,
        childEnvironment: [], log: LogOptions(), version: "0")

    @Test func whatMayChangeChanges() {
        var read = Self.options
        read.workerPath = "/bin/false"
        read.concurrency = 7
        read.timeLimit = 3
        read.softTimeLimit = 2
        read.maximumRetries = 1
        read.childEnvironment = ["X"]
        read.scaling = ScalingOptions(minimum: 1, maximum: 2)
        read.shutdown.softLimit = 9
        let (options, differing) = Self.options.reloaded(as: read)
        #expect(differing.isEmpty)
        #expect(options.workerPath == "/bin/false" && options.concurrency == 7 && options.timeLimit == 3 && options.softTimeLimit == 2)
        #expect(options.maximumRetries == 1 && options.childEnvironment == ["X"])
        #expect(options.scaling == read.scaling && options.shutdown == read.shutdown)
    }

    @Test func whatTakesARestartStaysAndIsNamed() {
        var read = Self.options
        read.broker = .sqlite(path: "/two")
        read.results = .sqlite(path: "/two")
        read.queues = ["celery", "more"]
        read.node = "c@d"
        read.prefetchMultiplier = 1
        read.pidfile = "/pid"
        read.log.file = "/log"
        read.timeZone = "Asia/Shanghai"
        read.resultExpiry = 1
        read.timeLimit = 3
        let (options, differing) = Self.options.reloaded(as: read)
        #expect(
            differing == [
                "the broker", "the result store", "queues", "hostname", "prefetch-multiplier", "pidfile", "logfile", "DATETIME_TIMEZONE",
                "CELERY_RESULT_EXPIRES",
            ])
        #expect(options.broker == Self.options.broker && options.results == Self.options.results && options.queues == ["celery"])
        #expect(options.node == "a@b" && options.prefetchMultiplier == 4 && options.log.file == nil && options.timeZone == nil)
        #expect(options.timeLimit == 3)
    }
}
