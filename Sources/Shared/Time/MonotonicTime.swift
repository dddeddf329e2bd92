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

    /// Seconds from `earlier` to here.
    public func seconds(since earlier: MonotonicTime) -> Double { Double(nanoseconds - earlier.nanoseconds) / 1e9 }

    public static let distantFuture = MonotonicTime(nanoseconds: .max)
}
