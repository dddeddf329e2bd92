/// How long a stop may take.
public struct ShutdownOptions: Equatable, Sendable {
    /// Seconds after which a warm shutdown becomes a cold one, above 0.
    public var warmLimit = standardWarmLimit
    /// Seconds for which what runs may go on before a cold shutdown kills it; 0: none.
    public var softLimit = 0.0

    /// Long enough for nearly every task; a stop must end all the same.
    public static let standardWarmLimit = 3600.0

    public init() {}
}
