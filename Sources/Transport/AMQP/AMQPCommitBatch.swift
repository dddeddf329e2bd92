/// One `commit` on its way: answered when its publications are confirmed and the broker has proven that it read the acknowledgements.
final class AMQPCommitBatch {
    var verdicts: [CommitVerdict]
    /// Steps whose publications are not confirmed.
    var openSteps = 0
    /// Whether something was acknowledged or given back, of which the broker must give proof.
    var wantsProof = false
    var isAsked = false
    var isDone = false

    init(count: Int) { verdicts = Array(repeating: .void, count: count) }
}
