import CoppiceShared

/// Lets a warning through once a minute for each name that it is about.
struct WarningPace {
    static let interval = 60.0
    /// Names that are kept. Where there are more within a minute, all are forgotten and may be warned of again.
    static let mostNames = 1000

    private var last: [String: MonotonicTime] = [:]

    mutating func isDue(_ name: String, now: MonotonicTime) -> Bool {
        if let last = last[name], now.seconds(since: last) < WarningPace.interval { return false }
        if last.count >= WarningPace.mostNames { last = last.filter { now.seconds(since: $0.value) < WarningPace.interval } }
        if last.count >= WarningPace.mostNames { last.removeAll() }
        last[name] = now
        return true
    }
}
