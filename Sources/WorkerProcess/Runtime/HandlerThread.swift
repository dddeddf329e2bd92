import CoppiceSystem

/// The thread on which handlers run, one job after the other: a handler that blocks blocks itself and not Swift's thread pool,
/// and the process has no pool unless a handler asks for one.
final class HandlerThread: TaskExecutor {
    private let jobs = Monitor<[UnownedJob]>([])

    func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        jobs.withLock { $0.append(job) }
        jobs.broadcast()
    }

    func run() -> Never {
        var batch: [UnownedJob] = []
        while true {
            jobs.wait { jobs -> Monitor<[UnownedJob]>.Look<Void> in
                guard !jobs.isEmpty else { return .wait }
                swap(&batch, &jobs)
                return .found(())
            }
            for job in batch { job.runSynchronously(on: asUnownedTaskExecutor()) }
            batch.removeAll(keepingCapacity: true)
        }
    }
}
