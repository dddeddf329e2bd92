import CoppiceShared
import CoppiceSystem

/// How many children there should be: grows at once with the work, shrinks slowly when there is none, and never grows into pressure.
struct Autoscaler: Equatable {
    /// What is looked at, at one moment.
    struct Situation: Equatable {
        /// Children that are there or coming, without those that leave.
        var size: Int
        /// Of these, those that have a task.
        var busy: Int
        /// Tasks that wait for a child, here or in the queues, as far as known.
        var waiting: Int
        /// Percent of the last ten seconds in which some task waited for it; what the kernel does not tell is missing.
        var pressure: [Pressure.Resource: Double] = [:]
    }

    private let options: ScalingOptions
    private var spare: Spare?

    /// There have been more children than work since then, and at most so much work.
    private struct Spare: Equatable {
        var since: MonotonicTime
        var peak: Int
    }

    init(_ options: ScalingOptions) { self.options = options }

    /// What keeps it from growing at present.
    private(set) var hindrance: Pressure.Resource?

    /// The size that is wanted now. Called each second or so.
    mutating func size(in situation: Situation, now: MonotonicTime) -> Int {
        let range = options.minimum...options.maximum
        let demand = situation.busy + situation.waiting
        hindrance = nil
        guard demand < situation.size else {
            spare = nil
            let wanted = max(min(demand, range.upperBound), range.lowerBound)
            guard wanted > situation.size else { return min(situation.size, range.upperBound) }
            hindrance = Pressure.Resource.allCases.first { resource in
                guard let limit = options.mostPressure[resource], let pressure = situation.pressure[resource] else { return false }
                return pressure > limit
            }
            // The least is promised, whatever the machine is like.
            return hindrance == nil ? wanted : max(situation.size, range.lowerBound)
        }
        guard var spare else {
            spare = Spare(since: now, peak: demand)
            return within(range, situation.size)
        }
        spare.peak = max(spare.peak, demand)
        self.spare = spare
        guard now.seconds(since: spare.since) >= options.patience else { return within(range, situation.size) }
        // A quarter of those that had nothing to do all the time, one at least.
        self.spare = Spare(since: now, peak: demand)
        return within(range, situation.size - max(1, (situation.size - spare.peak) / 4))
    }

    private func within(_ range: ClosedRange<Int>, _ size: Int) -> Int { max(min(size, range.upperBound), range.lowerBound) }
}
