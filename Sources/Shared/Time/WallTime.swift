/// A point in civil time: microseconds since 1970 in UTC. What stands in messages and records; never used to measure a duration.
public struct WallTime: Hashable, Comparable, Sendable {
    public var microseconds: Int64

    public init(microseconds: Int64) { self.microseconds = microseconds }

    /// From seconds since 1970, as scores and event time stamps hold them.
    public init(seconds: Double) { microseconds = Int64(max(-9e15, min(9e15, seconds * 1e6))) }

    public var seconds: Double { Double(microseconds) / 1e6 }

    public static func < (a: WallTime, b: WallTime) -> Bool { a.microseconds < b.microseconds }

    public func advanced(by seconds: Double) -> WallTime { WallTime(seconds: self.seconds + seconds) }
}
