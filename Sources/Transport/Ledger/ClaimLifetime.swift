/// For how long claims are remembered, in seconds.
enum ClaimLifetime {
    /// A message's. A task that runs for longer than this may run twice, should its connection to the broker be lost meanwhile.
    static let held = 7 * 86400
    /// A finished one's: its acknowledgement may have been lost, and a broker takes some time to notice that.
    static let finished = 3600
}
