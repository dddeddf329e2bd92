import CoppiceShared

/// What the master knows of one child process, from its spawn to the moment when it is reaped and its pipe is empty.
///
/// starting → working (idle with an empty hand) → stopping → killed → ended. The reason for a stop or kill is recorded before the frame
/// or signal is sent, so that the end can be told from an accident. A frame that is illegal in the present phase is an answer, not a trap.
struct ChildLifecycle: Equatable {
    /// What the child has been given and has not settled, in the order in which it will run it.
    struct Hand: Equatable {
        var assignments: [UInt64] = []
        /// Whether the first of them has started.
        var isStarted = false

        var running: UInt64? { isStarted ? assignments.first : nil }
        /// What it must begin now.
        var next: UInt64? { isStarted ? nil : assignments.first }
        var waiting: ArraySlice<UInt64> { isStarted ? assignments.dropFirst() : assignments[...] }
        var isEmpty: Bool { assignments.isEmpty }
        var count: Int { assignments.count }
    }

    enum KillReason: Equatable {
        /// It was not ready within so many seconds.
        case neverReady(Double)
        case hardTimeLimit(Double)
        case revoked
        case silent
        /// The task had promised to be heard again within so many seconds.
        case pledgeBroken(Double)
        /// It crashed, and its runtime did not come to an end with the report.
        case crashReport
        case protocolError(String)
        /// It did not begin what it was given.
        case neverBegan
        case shutdown
        /// It was still starting when there was no use for it any more.
        case notWanted
        /// It held so many bytes while its task ran, more than it may.
        case overMemory(Int)
        /// It was asked to stop and did not.
        case overstayed
    }

    enum State: Equatable {
        case starting
        case working(Hand)
        case stopping(Hand)
        case killed(KillReason, Hand)
        case ended
    }

    /// Why a child is gone, and what it still had.
    struct End: Equatable {
        /// nil: it went by itself or by somebody else's hand.
        var killed: KillReason?
        /// It was asked to stop, and nothing else happened.
        var wasStopping: Bool
        var wasReady: Bool
        var hand: Hand
        /// What ran when it was killed.
        var target: UInt64?

        /// Whether what runs began behind the task for which it was killed, whose end was on its way.
        var hitAnother: Bool {
            switch killed {
            case .hardTimeLimit, .revoked, .pledgeBroken, .overMemory: hand.running != nil && hand.running != target
            default: false
            }
        }
    }

    private(set) var state = State.starting
    private var wasReady = false
    private var target: UInt64?

    var hand: Hand {
        switch state {
        case .starting, .ended: Hand()
        case .working(let hand), .stopping(let hand), .killed(_, let hand): hand
        }
    }

    /// Whether tasks may be handed to it.
    var isWorking: Bool { if case .working = state { true } else { false } }
    var isStarting: Bool { state == .starting }
    var isKilled: Bool { if case .killed = state { true } else { false } }

    /// A frame's effect: nil, or the sentence that says why it is illegal now.
    typealias Complaint = String

    mutating func ready() -> Complaint? {
        switch state {
        case .starting:
            wasReady = true
            state = .working(Hand())
            return nil
        case .working, .stopping: return "a second ready"
        case .killed, .ended: return nil
        }
    }

    /// An assignment has been written to it.
    mutating func handed(_ assignment: UInt64) {
        guard case .working(var hand) = state else { preconditionFailure("an assignment was handed to a child that is not working") }
        hand.assignments.append(assignment)
        state = .working(hand)
    }

    mutating func started(_ assignment: UInt64) -> Complaint? {
        changeHand { hand in
            guard !hand.isStarted else { return "started while another assignment runs" }
            guard hand.assignments.first == assignment else { return "started what is not next in its hand" }
            hand.isStarted = true
            return nil
        }
    }

    mutating func done(_ assignment: UInt64) -> Complaint? {
        changeHand { hand in
            guard hand.running == assignment else { return "done with what does not run" }
            hand.assignments.removeFirst()
            hand.isStarted = false
            return nil
        }
    }

    mutating func returned(_ assignments: [UInt64]) -> Complaint? {
        changeHand { hand in
            for assignment in assignments {
                guard let index = hand.assignments.firstIndex(of: assignment) else { return "returned what it does not have" }
                guard !(index == 0 && hand.isStarted) else { return "returned what it has started" }
                hand.assignments.remove(at: index)
            }
            return nil
        }
    }

    /// Whether this assignment may start now.
    func isNext(_ assignment: UInt64) -> Bool { hand.next == assignment }

    /// Whether a frame about this assignment's work is legal.
    func isRunning(_ assignment: UInt64) -> Bool { hand.running == assignment }

    /// The stop frame is about to be written. Returns whether it makes sense.
    mutating func stop() -> Bool {
        guard case .working(let hand) = state else { return false }
        state = .stopping(hand)
        return true
    }

    /// A signal that ends it is about to be sent; the first reason counts.
    mutating func kill(_ reason: KillReason) -> Bool {
        switch state {
        case .starting: state = .killed(reason, Hand())
        case .working(let hand), .stopping(let hand): state = .killed(reason, hand)
        case .killed, .ended: return false
        }
        target = hand.running
        return true
    }

    /// It is reaped and its pipe is drained.
    mutating func ended() -> End {
        let end: End
        switch state {
        case .starting: end = End(killed: nil, wasStopping: false, wasReady: false, hand: Hand())
        case .working(let hand): end = End(killed: nil, wasStopping: false, wasReady: true, hand: hand)
        case .stopping(let hand): end = End(killed: nil, wasStopping: true, wasReady: true, hand: hand)
        case .killed(let reason, let hand): end = End(killed: reason, wasStopping: false, wasReady: wasReady, hand: hand, target: target)
        case .ended: preconditionFailure("a child ended twice")
        }
        state = .ended
        return end
    }

    private mutating func changeHand(_ change: (inout Hand) -> Complaint?) -> Complaint? {
        var hand = hand
        switch state {
        case .starting: return "a frame before ready"
        case .working:
            if let complaint = change(&hand) { return complaint }
            state = .working(hand)
        case .stopping:
            if let complaint = change(&hand) { return complaint }
            state = .stopping(hand)
        // What it wrote before the signal reached it still counts: a task that was done is done.
        case .killed(let reason, _):
            if let complaint = change(&hand) { return complaint }
            state = .killed(reason, hand)
        case .ended: return nil
        }
        return nil
    }
}
