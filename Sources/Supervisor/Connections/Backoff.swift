import CoppiceShared

/// The pause before the next connection attempt: doubled each time, with jitter, up to a cap below a second, so that work goes on
/// within a second of the server's return.
struct Backoff {
    static let first = 0.05
    static let cap = 0.8

    private var attempts = 0

    /// Seconds until the next attempt.
    mutating func next() -> Double {
        var pause = Backoff.first
        for _ in 0..<min(attempts, 10) { pause = min(pause * 2, Backoff.cap) }
        attempts += 1
        return pause * .random(in: 0.75...1)
    }

    mutating func succeeded() { attempts = 0 }
}
