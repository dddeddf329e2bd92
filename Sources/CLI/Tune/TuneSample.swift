/// What one run of a setting has shown. Times in seconds.
struct TuneSample {
    var tasksPerSecond: Double
    /// From a task's start to its end, as its master sees it.
    var runTime: Percentiles?
    /// From the sending of a task to its outcome, while half as many come as could be done; nil: they take too long to be tried.
    var latency: Percentiles?
    /// Processors that master and children have kept busy.
    var processors: Double
    /// Of the child that has had the most.
    var childMemory: Int

    struct Percentiles {
        var half: Double
        var most: Double

        init(half: Double, most: Double) {
            self.half = half
            self.most = most
        }

        /// The 50th and the 95th of a hundred; nil: there is nothing.
        init?(_ values: [Double]) {
            guard !values.isEmpty else { return nil }
            let sorted = values.sorted()
            func rank(_ share: Double) -> Double { sorted[min(sorted.count - 1, Int(share * Double(sorted.count)))] }
            self.init(half: rank(0.5), most: rank(0.95))
        }
    }

    /// The median of each figure.
    init(medianOf samples: [TuneSample]) {
        func median(_ values: [Double]) -> Double {
            guard !values.isEmpty else { return 0 }
            let sorted = values.sorted()
            // Of an even number the middle is between two.
            return (sorted[(sorted.count - 1) / 2] + sorted[sorted.count / 2]) / 2
        }
        func median(_ values: [Percentiles]) -> Percentiles? {
            values.isEmpty ? nil : Percentiles(half: median(values.map(\.half)), most: median(values.map(\.most)))
        }
        tasksPerSecond = median(samples.map(\.tasksPerSecond))
        runTime = median(samples.compactMap(\.runTime))
        latency = median(samples.compactMap(\.latency))
        processors = median(samples.map(\.processors))
        childMemory = samples.map(\.childMemory).max() ?? 0
    }

    init(tasksPerSecond: Double, runTime: Percentiles?, latency: Percentiles?, processors: Double, childMemory: Int) {
        self.tasksPerSecond = tasksPerSecond
        self.runTime = runTime
        self.latency = latency
        self.processors = processors
        self.childMemory = childMemory
    }
}
