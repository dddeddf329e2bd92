import CoppiceShared
import Glibc

/// How long tasks have taken, as counts: eight steps an octave, so that what is told of them is within a tenth. Its size is fixed.
struct RunTimes {
    private static let shortest = 1e-6
    private static let stepsPerOctave = 8.0
    /// Forty octaves: up to twelve days.
    private var counts = [Int](repeating: 0, count: 320)
    private(set) var count = 0

    /// - Parameter seconds: what is beyond the steps counts as the first or the last of them.
    mutating func add(_ seconds: Double) {
        let step = seconds > RunTimes.shortest ? log2(seconds / RunTimes.shortest) * RunTimes.stepsPerOctave : 0
        counts[Int(max(0, min(Double(counts.count - 1), step)))] += 1
        count += 1
    }

    /// Seconds that so great a share took no longer than; nil: there was none.
    func percentile(_ share: Double) -> Double? {
        guard count > 0 else { return nil }
        let wanted = Int((share * Double(count)).rounded(.up))
        var seen = 0
        for (step, number) in counts.enumerated() {
            seen += number
            if seen >= wanted { return RunTimes.shortest * exp2((Double(step) + 0.5) / RunTimes.stepsPerOctave) }
        }
        return nil
    }

    /// For an answer on the remote control.
    var json: JSONValue {
        guard let half = percentile(0.5), let most = percentile(0.95) else { return nil }
        return ["count": .int(count), "p50": .double(half), "p95": .double(most)]
    }
}
