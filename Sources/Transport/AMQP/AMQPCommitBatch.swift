/// One `commit` on its way: answered when its publications are confirmed.
final class AMQPCommitBatch {
    let number: UInt64
    var verdicts: [CommitVerdict]
    /// Steps whose publications are not confirmed.
    var openSteps = 0

    init(_ number: UInt64, count: Int) {
        self.number = number
        verdicts = Array(repeating: .void, count: count)
    }
}
