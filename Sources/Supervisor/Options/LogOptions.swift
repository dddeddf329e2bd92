import Logging

/// What is logged, in which form, and where to.
public struct LogOptions: Sendable {
    public var level: Logger.Level
    /// Appended to; nil: standard error, or the journal.
    public var file: String?
    public var format: LogFormat

    public init(level: Logger.Level = .warning, file: String? = nil, format: LogFormat = .auto) {
        self.level = level
        self.file = file
        self.format = format
    }
}
