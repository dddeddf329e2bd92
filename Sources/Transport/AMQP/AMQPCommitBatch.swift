/// One `commit` on its way: answered when its publications are confirmed.
final class AMQPCommitBatch {
    var verdicts: [CommitVerdict]
    /// Steps whose publications are not confirmed.
    var openSteps = 0

    init(count: Int) { verdicts = Array(repeating: .void, count: count) }
}
