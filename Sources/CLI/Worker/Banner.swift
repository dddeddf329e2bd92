import CoppiceSupervisor

/// What a worker says of itself when it starts.
enum Banner {
    static func text(_ options: SupervisorOptions, tasks: [String]) -> String {
        """
         -------------- \(options.node) coppice \(options.version)
         .> worker:      \(options.workerPath)
         .> broker:      \(options.broker)
         .> results:     \(options.results)
         .> concurrency: \(options.concurrency) (prefork), prefetch \(options.concurrency * options.prefetchMultiplier)
         .> queues:      \(options.queues.map(\.name).joined(separator: ", "))

        [tasks]
        \(tasks.map { "  . \($0)" }.joined(separator: "\n"))

        """
    }
}
