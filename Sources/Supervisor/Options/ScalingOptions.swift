import CoppiceSystem

/// How the number of children follows the work.
public struct ScalingOptions: Equatable, Sendable {
    /// Children, from 1.
    public var minimum: Int
    /// Not below `minimum`.
    public var maximum: Int
    /// Seconds for which there must have been less work than children before some go, above 0.
    public var patience: Double
    /// Percent of the last ten seconds in which something waited for the resource; above it nothing grows. 100: never in the way.
    public var mostPressure: [Pressure.Resource: Double]

    /// As Celery's AUTOSCALE_KEEPALIVE.
    public static let standardPatience = 30.0
    /// More children make a lack of memory worse at once. That the processors or the disks are busy is what they are for; but where
    /// nearly everything waits for them, more children bring nothing.
    public static let standardPressure: [Pressure.Resource: Double] = [.cpu: 80, .memory: 10, .io: 80]

    public init(
        minimum: Int, maximum: Int, patience: Double = standardPatience, mostPressure: [Pressure.Resource: Double] = standardPressure
    ) {
        self.minimum = minimum
        self.maximum = maximum
        self.patience = patience
        self.mostPressure = mostPressure
    }
}
