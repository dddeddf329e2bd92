import ArgumentParser
import CoppiceSupervisor
import CoppiceSystem

/// How the number of children follows the work.
struct ScalingFlags: ParsableArguments {
    static let names: Set<String> = ["autoscale", "max-pressure"]
    private static let most = 10_000

    @Option(
        help: ArgumentHelp(
            "Between so many children, with the work, in place of --concurrency; MIN is 1, the least, if not given.", valueName: "max,min")
    )
    var autoscale: String?

    @Option(
        help: ArgumentHelp(
            "With --autoscale: percent of time that something waits, above which no child is added; cpu=80,memory=10,io=80 if not given.",
            valueName: "list"))
    var maxPressure: String?

    /// - Parameter patience: seconds before idle children go.
    func options(_ worker: WorkerLookup, patience: Double?) throws -> ScalingOptions? {
        guard let range = try worker.text(autoscale, "autoscale") else {
            if try worker.text(maxPressure, "max-pressure") != nil { throw CommandFailure("--max-pressure is for --autoscale", code: 2) }
            return nil
        }
        // As in Celery the order is of no interest.
        let parts = range.split(separator: ",", omittingEmptySubsequences: false)
        let numbers = parts.compactMap { Int($0) }.filter { (0...Self.most).contains($0) }.sorted()
        guard (1...2).contains(parts.count), numbers.count == parts.count, let maximum = numbers.last, maximum > 0 else {
            throw CommandFailure("--autoscale: '\(range)' is not MAX,MIN: one or two numbers from 1 to \(Self.most)", code: 2)
        }
        if numbers[0] == 0 { StandardError.write("coppice: --autoscale: one child stays, which says what tasks there are; MIN is 1") }
        var options = ScalingOptions(
            minimum: numbers.count == 2 ? max(numbers[0], 1) : 1, maximum: maximum, patience: patience ?? ScalingOptions.standardPatience)
        for part in try worker.text(maxPressure, "max-pressure").map({ $0.split(separator: ",") }) ?? [] {
            let pair = part.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            guard pair.count == 2, let resource = Pressure.Resource(rawValue: String(pair[0])), let percent = Double(pair[1]),
                (0...100).contains(percent)
            else {
                throw CommandFailure("--max-pressure: '\(part)' is none of cpu=N, memory=N, io=N with N from 0 to 100", code: 2)
            }
            options.mostPressure[resource] = percent
        }
        return options
    }
}
