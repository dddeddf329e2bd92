/// A point on the machine's monotonic clock (CLOCK_MONOTONIC: it does not jump, and stands still in suspend), in nanoseconds.
public struct MonotonicTime: Hashable, Comparable, Sendable {
    public var nanoseconds: Int64

    public init(nanoseconds: Int64) { self.nanoseconds = nanoseconds }

    public static func < (a: MonotonicTime, b: MonotonicTime) -> Bool { a.nanoseconds < b.nanoseconds }

    /// Later by so many seconds, or earlier. Before the clock's beginning is its beginning; what does not fit is the end of time.
    public func advanced(by seconds: Double) -> MonotonicTime {
        let delta = seconds * 1e9
        guard delta < 9e18 - Double(nanoseconds) else { return .distantFuture }
        guard delta > -Double(nanoseconds) else { return MonotonicTime(nanoseconds: 0) }
        return MonotonicTime(nanoseconds: nanoseconds + Int64(delta))
    }

    /// The next of the points that lie `interval` seconds apart, one of them `phase` seconds after the clock's beginning.
    public func next(every interval: Double, phase: Double = 0) -> MonotonicTime {
        let interval = max(1, Int64(interval * 1e9))
        let phase = Int64(phase * 1e9) % interval
        let past = (nanoseconds - phase) % interval
        return MonotonicTime(nanoseconds: nanoseconds + (past < 0 ? -past : interval - past))
    }

    /// Seconds from `earlier` to here.
    public func seconds(since earlier: MonotonicTime) -> Double { Double(nanoseconds - earlier.nanoseconds) / 1e9 }

    public static let distantFuture = MonotonicTime(nanoseconds: .max)
}
