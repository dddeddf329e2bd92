/// Why compressed bytes could not be read.
public enum InflateError: Error, Equatable, Sendable {
    case corrupt
    /// The stream ends before its end mark.
    case truncated
    /// It would be larger than the caller allows.
    case tooLarge
    case outOfMemory
}
