import CoppiceShared
import CoppiceSystem

/// What the master has handed over: the assignments that wait, and the one in work.
///
/// The reader thread adds, recalls and cancels; the executor takes and finishes. A cancellation marks the current assignment
/// under the lock, cancels outside it (a task's cancellation handler may do anything) and holds `finish` back meanwhile: so it
/// can never hit the next one.
final class Assignments: Sendable {
    private struct State {
        /// Taken ones are nil, so that their bodies are freed at once; `next` is the first that waits.
        var inbox: [RunFrame?] = []
        var next = 0
        var current: UInt64?
        var reason: DownFrame.CancelReason?
        /// The reader is between marking and cancelling.
        var isCancelling = false
        var isStopping = false
        var executorWaits = false
        /// The Swift task that runs the handlers.
        var executor: Task<Void, Never>?
    }

    private let state = Monitor(State())

    // MARK: the reader

    /// Adds runs, in order. false: after `stop`, when none may come.
    func add(_ runs: [RunFrame]) -> Bool {
        let (accepted, wake) = state.withLock { state in
            guard !state.isStopping else { return (false, false) }
            state.inbox.append(contentsOf: runs)
            defer { state.executorWaits = false }
            return (true, state.executorWaits)
        }
        if wake { state.broadcast() }
        return accepted
    }

    /// Takes back what has not begun.
    func recall() -> [UInt64] {
        state.withLock { state in
            defer {
                state.inbox.removeAll()
                state.next = 0
            }
            return state.inbox[state.next...].compactMap { $0?.assignment }
        }
    }

    /// The executor ends when what it runs has. Recall and report first: the process may be gone when this returns.
    func stop() {
        state.withLock { $0.isStopping = true }
        state.broadcast()
    }

    /// Cancels an assignment that is in work; one that is not is not touched.
    func cancel(_ assignment: UInt64, _ reason: DownFrame.CancelReason) {
        let task = state.withLock { state -> Task<Void, Never>? in
            guard state.current == assignment, state.reason == nil else { return nil }
            state.reason = reason
            state.isCancelling = true
            return state.executor
        }
        guard let task else { return }
        task.cancel()
        state.withLock { $0.isCancelling = false }
        state.broadcast()
    }

    // MARK: the executor

    func setExecutor(_ task: Task<Void, Never>) { state.withLock { $0.executor = task } }

    /// The next assignment, if one waits.
    func takeIfAny() -> RunFrame? { state.withLock { Self.take(&$0) } }

    /// Waits for the next assignment; nil: to stop.
    func take() -> RunFrame? {
        state.wait { state in
            if let taken = Self.take(&state) { return .found(taken) }
            if state.isStopping { return .found(nil) }
            state.executorWaits = true
            return .wait
        }
    }

    private static func take(_ state: inout State) -> RunFrame? {
        guard state.next < state.inbox.count, let run = state.inbox[state.next] else { return nil }
        state.inbox[state.next] = nil
        state.next += 1
        if state.next == state.inbox.count {
            state.inbox.removeAll(keepingCapacity: true)
            state.next = 0
        }
        state.current = run.assignment
        return run
    }

    /// The assignment has ended. Returns whether it was cancelled: then the Swift task that ran it stays cancelled for good, and
    /// another must run the next.
    func finish() -> Bool {
        state.wait { state in
            guard !state.isCancelling else { return .wait }
            defer { state.reason = nil }
            state.current = nil
            return .found(state.reason != nil)
        }
    }

    // MARK: the handler

    func cancellation(of assignment: UInt64) -> TaskContext.CancellationReason? {
        state.withLock { state in
            guard state.current == assignment else { return nil }
            switch state.reason {
            case nil: return nil
            case .softTimeLimit: return .softTimeLimit
            case .revoked: return .revoked
            }
        }
    }
}
