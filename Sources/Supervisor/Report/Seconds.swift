/// How long something took, as the log has it.
enum Seconds {
    /// To the microsecond, which is all that is meant.
    static func rounded(_ seconds: Double) -> Double { (seconds * 1e6).rounded() / 1e6 }

    /// `0.0053`, `2.0`: at most six decimals, and never an exponent.
    static func text(_ seconds: Double) -> String {
        guard seconds >= 0, seconds < 1e12 else { return "\(seconds)" }
        let microseconds = Int((seconds * 1e6).rounded())
        var decimals = String(String(1_000_000 + microseconds % 1_000_000).dropFirst())
        while decimals.count > 1, decimals.last == "0" { decimals.removeLast() }
        return "\(microseconds / 1_000_000).\(decimals)"
    }
}
