import CoppiceShared

/// When a child that ended is replaced: at once if it had worked, with a growing pause if it had not.
struct RespawnPolicy: Equatable {
    /// Attempts in a row that came to nothing, after which the master gives up if no child is there any more.
    static let limit = 8
    static let firstPause = 0.1
    static let longestPause = 30.0
    /// Seconds from `ready` within which an end with nothing done is a failed start.
    static let probation = 1.0

    private(set) var failures = 0
    /// Not before this time.
    private(set) var notBefore: MonotonicTime?

    /// A child has done a task, or has been ready for long enough.
    mutating func startSucceeded() {
        failures = 0
        notBefore = nil
    }

    /// A child could not be spawned, or ended before it was ready or soon after, with nothing begun. Those that fail together, as after a
    /// moment without memory, count once: whatever their number, it takes all the pauses to give up.
    mutating func startFailed(now: MonotonicTime) {
        guard maySpawn(now: now) else { return }
        failures += 1
        notBefore = now.advanced(by: pause)
    }

    /// Seconds until the next attempt, after the failures so far.
    var pause: Double {
        guard failures > 0 else { return 0 }
        var pause = RespawnPolicy.firstPause
        for _ in 1..<failures { pause = min(pause * 2, RespawnPolicy.longestPause) }
        return pause
    }

    var isExhausted: Bool { failures >= RespawnPolicy.limit }

    func maySpawn(now: MonotonicTime) -> Bool { notBefore.map { $0 <= now } ?? true }
}
