/// Why a TLS connection can't be made or goes no further, and what to do about it: one line for the log.
public struct TLSError: Error, Equatable, Sendable, CustomStringConvertible {
    public let description: String

    public init(_ description: String) { self.description = description }
}
