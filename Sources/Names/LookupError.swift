/// Why a host's name has no address.
public struct LookupError: Error, Equatable, Sendable, CustomStringConvertible {
    /// One line for the log, the host's name included.
    public let description: String

    public init(_ description: String) { self.description = description }
}
