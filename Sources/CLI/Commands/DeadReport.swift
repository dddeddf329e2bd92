import CoppiceClient
import CoppiceShared
import Glibc

/// What a command has come to that treats one dead letter after the other.
struct DeadReport {
    /// The version of `--json`.
    private static let version = 1
    /// Complaints that are told in full.
    private static let mostComplaints = 5

    private let word: String
    private let count: Int
    private let isWatched = isatty(STDERR_FILENO) == 1
    private var done: [String] = []
    private var failures: [(id: String, reason: String)] = []

    /// - Parameters:
    ///   - word: what becomes of them: "dropped".
    ///   - count: how many there are.
    init(_ word: String, of count: Int) {
        self.word = word
        self.count = count
    }

    mutating func settled(_ id: String, _ complaint: String?) {
        if let complaint { failures.append((id, complaint)) } else { done.append(id) }
        if isWatched { StandardError.put("\r\u{1B}[K\(done.count + failures.count) of \(count)") }
    }

    /// Tells of them; to be called as well when `error` has ended the work before its time.
    func finish(json: Bool, _ error: ClientError?) throws {
        if isWatched { StandardError.put("\r\u{1B}[K") }
        print(json ? self.json : "\(done.count) message\(done.count == 1 ? "" : "s") \(word)")
        if let error { throw error }
        guard !failures.isEmpty else { return }
        let told = failures.prefix(DeadReport.mostComplaints).map { "\($0.id): \($0.reason)" }.joined(separator: "; ")
        let more = failures.count - DeadReport.mostComplaints
        throw CommandFailure(told + (more > 0 ? "; and \(more) more" : ""))
    }

    private var json: String {
        let failed: [JSONValue] = failures.map { ["id": .string($0.id), "reason": .string($0.reason)] }
        let root: JSONValue = ["v": .int(DeadReport.version), "done": .array(done.map { .string($0) }), "failed": .array(failed)]
        return root.text
    }
}
