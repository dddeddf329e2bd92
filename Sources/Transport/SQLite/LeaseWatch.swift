import CoppiceShared

/// Which nodes are dead: those whose counter stood still while this observer was awake and could have seen, and done, better.
///
/// Never by wall clock or age: only by the observer's own uninterrupted looks. Each look is part of a transaction that wrote, so a
/// lock that kept everybody from counting kept the observer from looking.
struct LeaseWatch {
    private let timing: LeaseTiming
    private var seen: [Int: (counter: Int, since: MonotonicTime)] = [:]
    private var lastLook: MonotonicTime?

    init(_ timing: LeaseTiming) { self.timing = timing }

    /// Takes in everybody's counters, by node; tells who is dead.
    mutating func look(_ counters: [Int: Int], now: MonotonicTime) -> [Int] {
        // Looks come once a beat; one that is a beat late is already a doubt.
        let wasAwake = lastLook.map { now.seconds(since: $0) <= 2 * timing.beat } ?? false
        lastLook = now
        let before = wasAwake ? seen : [:]
        seen = [:]
        for (node, counter) in counters {
            if let earlier = before[node], earlier.counter == counter {
                seen[node] = earlier
            } else {
                seen[node] = (counter, now)
            }
        }
        return seen.filter { now.seconds(since: $0.value.since) >= timing.deadAfter }.keys.sorted()
    }
}
