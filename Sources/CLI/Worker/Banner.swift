import CoppiceSupervisor

/// What a worker says of itself when it starts.
enum Banner {
    static func text(_ options: SupervisorOptions, _ live: LiveOptions, tasks: [String]) -> String {
        """
         -------------- \(options.node) coppice \(options.version)
         .> worker:      \(live.workerPath)
         .> broker:      \(options.broker)
         .> results:     \(options.results)
         .> concurrency: \(live.concurrency) (prefork), prefetch \(live.concurrency * options.prefetchMultiplier)
         .> queues:      \(options.queues.map(\.name).joined(separator: ", "))

        [tasks]
        \(tasks.map { "  . \($0)" }.joined(separator: "\n"))

        """
    }
}
