import CoppiceSupervisor

/// What a worker says of itself when it starts.
enum Banner {
    static func text(_ options: SupervisorOptions) -> String {
        """
         -------------- \(options.node) coppice \(options.version)
         .> worker:      \(options.workerPath)
         .> broker:      \(options.broker)
         .> results:     \(options.results)
         .> concurrency: \(options.concurrency) (prefork), prefetch \(options.concurrency * options.prefetchMultiplier)
         .> queues:      \(options.queues.joined(separator: ", "))
        """
    }
}
