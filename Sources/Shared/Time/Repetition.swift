/// Tells when something that happens again and again is to be said: the first time at once, then once a minute with how often it has
/// happened since.
public struct Repetition: Sendable {
    /// Seconds between two lines that say the same.
    public static let interval = 60.0
    /// Of more different things than these all are forgotten.
    private static let most = 100

    private var said: [String: (at: MonotonicTime, since: Int)] = [:]

    public init() {}

    /// It has happened once more.
    ///
    /// - Returns: how often since it was said last, this time included; nil: it is not to be said now.
    public mutating func happened(_ what: String, now: MonotonicTime) -> Int? {
        if var known = said[what] {
            known.since += 1
            guard now.seconds(since: known.at) >= Repetition.interval else {
                said[what] = known
                return nil
            }
            said[what] = (now, 0)
            return known.since
        }
        if said.count >= Repetition.most { said.removeAll() }
        said[what] = (now, 0)
        return 1
    }

    /// Forgets all: the next one is said as if it were the first.
    public mutating func forget() { said.removeAll() }
}
