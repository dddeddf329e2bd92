import CoppiceShared

/// Tells which incarnations are dead: those whose counter stood still for five seconds of this session's own uninterrupted
/// observation. No clock but our monotonic one counts: neither a broker that was stopped nor we ourselves after a pause may take
/// others' silence for death.
public struct LeaseObserver {
    /// Seconds of standing still.
    public static let patience = 5.0
    /// For so many seconds after a lease was proven nobody can take its holder for dead, with a margin for what is under way.
    public static let trust = 3.0
    /// A longer time between two looks, or between question and answer, is an interruption, after which observation begins anew.
    static let longestGap = 2.5

    /// An incarnation that is dead, and the counter on which that rests: whoever acts on it does so only while it still stands.
    public struct Death: Hashable, Sendable {
        public var incarnation: String
        public var counter: String
    }

    private var seen: [String: (counter: String, since: MonotonicTime)] = [:]
    private var lastLook: MonotonicTime?

    public init() {}

    /// Takes in what all other incarnations' counters are; returns those that are dead now. Each is returned again, once per
    /// `patience`, while its counter is there.
    public mutating func look(_ counters: [String: String], asked: MonotonicTime, answered: MonotonicTime) -> [Death] {
        if let lastLook, asked.seconds(since: lastLook) > LeaseObserver.longestGap { seen = [:] }
        if answered.seconds(since: asked) > LeaseObserver.longestGap { seen = [:] }
        lastLook = answered
        var dead: [Death] = []
        var next: [String: (counter: String, since: MonotonicTime)] = [:]
        for (incarnation, counter) in counters {
            guard let known = seen[incarnation], known.counter == counter else {
                next[incarnation] = (counter, answered)
                continue
            }
            if answered.seconds(since: known.since) >= LeaseObserver.patience {
                dead.append(Death(incarnation: incarnation, counter: counter))
                next[incarnation] = (counter, answered)
            } else {
                next[incarnation] = known
            }
        }
        seen = next
        return dead
    }
}
