/// How long a node may be silent. In seconds.
public struct LeaseTiming: Sendable {
    /// Between two signs of life.
    public var beat: Double
    /// A node whose counter stood still for so long is dead.
    public var deadAfter: Double

    public init(beat: Double, deadAfter: Double) {
        self.beat = beat
        self.deadAfter = deadAfter
    }

    public static let standard = LeaseTiming(beat: 1, deadAfter: 5)
}
