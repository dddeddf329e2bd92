/// How often, and after how long, a task that failed is tried again.
///
/// A policy that is declared with a task retries whatever its handler throws, until the limit is reached; then the last error is
/// the task's. `context.fail` says at once that trying again is no use, `context.retry` overrides the delay.
public struct RetryPolicy: Equatable, Sendable {
    enum Delay: Equatable, Sendable {
        case fixed(Duration)
        case exponential(base: Duration, cap: Duration, jitter: Bool)
    }

    /// How many times after the first attempt.
    public let limit: Int
    let delay: Delay

    /// Never.
    public static let none = RetryPolicy(limit: 0, delay: .fixed(.zero))

    /// After the same time again and again.
    public static func fixed(limit: Int, delay: Duration) -> RetryPolicy {
        RetryPolicy(limit: limit, delay: .fixed(delay))
    }

    /// After `base`, twice `base`, four times `base` and so on, at most `cap`.
    ///
    /// - Parameter jitter: Full jitter: any time between nothing and the above, so that what failed together is not retried together.
    public static func exponential(limit: Int, base: Duration, cap: Duration = .seconds(600), jitter: Bool = true) -> RetryPolicy {
        RetryPolicy(limit: limit, delay: .exponential(base: base, cap: cap, jitter: jitter))
    }

    /// Seconds until the next attempt.
    ///
    /// - Parameter retries: How often the task has been retried; 0 after the first attempt.
    func seconds(afterRetries retries: Int, using generator: inout some RandomNumberGenerator) -> Double {
        switch delay {
        case .fixed(let delay): return max(0, delay.inSeconds)
        case .exponential(let base, let cap, let jitter):
            // Far below the exponent at which a Double overflows, far above every cap.
            let factor = Double(sign: .plus, exponent: min(max(0, retries), 500), significand: 1)
            let bound = min(max(0, base.inSeconds) * factor, max(0, cap.inSeconds))
            return jitter ? Double.random(in: 0...bound, using: &generator) : bound
        }
    }
}

extension Duration {
    var inSeconds: Double { Double(components.seconds) + Double(components.attoseconds) / 1e18 }
}
