import CoppiceShared
import CoppiceSystem
import Logging

/// Replaces the children of a pool by those of a new generation, one after the other: a new one is ready first, then the old one
/// finishes what it has begun and goes.
///
/// Who owns it tells it of children that become ready or end, and calls `advance` once per turn: that looks at what is there, not at
/// what has happened, so children that die, are recycled or retire meanwhile need no care.
final class RollingRestart {
    private let pool: Pool
    private(set) var lifecycle = ReloadLifecycle()
    private var old: Generation
    private var new: Generation
    /// Started by us and not ready yet.
    private var awaited: Child?
    /// When the next one is started. Behind the first of the new generation when that has proved itself; behind the others so many times as long as
    /// the start took, so that on a busy machine the work gets its share beside the starts, but no more than so many seconds, one by one and
    /// in all.
    private static let restPerStart = 12.0
    private static let longestRest = 0.25
    private static let longestRests = 20.0
    private var restEnd: MonotonicTime?

    /// What children are started from, and what the node does by.
    private struct Generation {
        var live: LiveOptions
        var launcher: ChildLauncher
    }

    /// The node does by these from now on.
    var onOptions: (LiveOptions) -> Void = { _ in }
    var onEnd: (ReloadReport.Outcome) -> Void = { _ in }

    init(pool: Pool) {
        self.pool = pool
        old = Generation(live: pool.live, launcher: pool.launcher)
        new = old
    }

    /// How many children are to be replaced yet.
    var left: Int { pool.serving.reduce(0) { $0 + ($1.generation == wanted ? 0 : 1) } }

    /// The generation that children are to be of.
    private var wanted: Int { lifecycle.state == .trying ? new.launcher.generation : pool.launcher.generation }

    func begin(_ live: LiveOptions) {
        old = Generation(live: pool.live, launcher: pool.launcher)
        new = Generation(
            live: live,
            launcher: ChildLauncher(
                pool.options, live, generation: new.launcher.generation + 1, descriptorLimit: pool.launcher.descriptorLimit,
                sandbox: pool.sandbox))
        awaited = nil
        lifecycle.begins()
    }

    // MARK: facts

    func childReady(_ child: Child) {
        guard child === awaited else { return }
        awaited = nil
        restEnd = lifecycle.state == .trying ? child.probationEnd : MonotonicTime.now.advanced(by: rest)
        act(lifecycle.childReady())
    }

    func childEnded(_ child: Child, _ death: Death) {
        let isAwaited = child === awaited
        if isAwaited { awaited = nil }
        // Its slot is to go, or was: that says nothing of the worker. Nor does one that is left from before the way back.
        if child.slot.isRetiring || death.end.killed == .notWanted || child.generation != wanted { return }
        // One that ends as soon as it is ready proves as little, whoever has started it.
        guard isAwaited || death.isFailedStart else { return }
        let how = death.end.wasReady ? "ended as soon as it was ready" : "did not become ready"
        act(lifecycle.childFailed("\(child.name) of the \(name(child)) worker \(how): \(death.story)"))
    }

    private var rest: Double {
        let longest = min(RollingRestart.longestRest, RollingRestart.longestRests / Double(max(1, pool.size)))
        return min(RollingRestart.restPerStart * pool.startDuration, longest)
    }

    func abandon(_ reason: String) { act(lifecycle.abandon(reason)) }

    // MARK: what follows

    func advance(now: MonotonicTime) {
        guard lifecycle.isUnderWay, awaited == nil else { return }
        let launcher = lifecycle.state == .trying ? new.launcher : pool.launcher
        let slots = pool.slots.filter { !$0.isRetiring }
        let outdated = slots.filter { slot in slot.children(beside: launcher.generation) }
        // A successor that somebody else has started is waited for.
        let free = outdated.filter { $0.successor == nil }
        let slot: Slot?
        if lifecycle.state == .trying {
            // One whose child works, so that there is one more; but where none does it is all the more wanted.
            slot = free.first { $0.child?.lifecycle.isWorking == true } ?? free.first ?? slots.first { $0.isEmpty }
        } else {
            if let restEnd, now < restEnd { return pool.wake(at: restEnd) }
            if outdated.isEmpty { return act(lifecycle.isComplete()) }
            slot = free.first
        }
        guard let slot else { return }
        do {
            awaited = try pool.replace(slot, by: launcher, now: now)
        } catch {
            act(lifecycle.childFailed("\(error)"))
        }
    }

    private func act(_ action: ReloadLifecycle.Action) {
        switch action {
        case .none: break
        case .adopt: adopt(new)
        case .restore: adopt(old)
        case .end(let outcome):
            awaited = nil
            onEnd(outcome)
        }
    }

    private func adopt(_ generation: Generation) {
        pool.live = generation.live
        pool.launcher = generation.launcher
        onOptions(generation.live)
    }

    private func name(_ child: Child) -> String { child.generation == new.launcher.generation ? "new" : "old" }
}

extension Slot {
    /// Whether it has, or will have, a child of another generation that is given work.
    fileprivate func children(beside generation: Int) -> Bool {
        [child, successor].contains { $0.map { $0.generation != generation } ?? false }
    }
}
