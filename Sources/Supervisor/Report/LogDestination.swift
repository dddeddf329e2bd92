import CoppiceSystem

/// Where records of the log go. Never waits: what is not taken at once stays, up to a bound.
protocol LogDestination {
    /// Bytes that wait to be taken.
    var backlog: Int { get }
    mutating func append(_ record: LogRecord)
    /// Hands over what is taken now; returns how many records are lost for good.
    mutating func flush() -> Int
    /// Goes on in the file that has the path now, for those who have moved the old one away.
    mutating func reopen() throws(SystemError)
}
