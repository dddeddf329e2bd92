/// Why a master gave up: one line for the operator, and the exit code.
public struct SupervisorFailure: Error, CustomStringConvertible {
    public let description: String
    public let code: Int32

    public init(_ description: String, code: Int32) {
        self.description = description
        self.code = code
    }
}
