import CoppiceShared

/// The pause before the next connection attempt: doubled each time, with jitter, up to a cap below a second, so that work goes on
/// within a second of the server's return. It begins anew after a connection that has stood for a while: one that stands and falls at once
/// is still a failure.
struct Backoff {
    static let first = 0.05
    static let cap = 0.8
    /// Seconds for which a connection must stand to be none that falls at once.
    static let proof = 5.0

    private var attempts = 0

    /// Seconds until the next attempt.
    mutating func next() -> Double {
        var pause = Backoff.first
        for _ in 0..<min(attempts, 10) { pause = min(pause * 2, Backoff.cap) }
        attempts += 1
        return pause * .random(in: 0.75...1)
    }

    /// A connection that has stood for so many seconds is lost.
    mutating func stood(seconds: Double) {
        if seconds >= Backoff.proof { attempts = 0 }
    }
}
