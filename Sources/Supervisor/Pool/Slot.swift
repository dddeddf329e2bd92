/// A place in the pool. It outlives its processes: its number is the child's name in logs.
final class Slot {
    /// From 1.
    let number: Int
    /// The one that is given work.
    var child: Child?
    /// Spawned to take its place: it does so when it is ready.
    var successor: Child?
    /// Those that were replaced and finish what they have begun.
    private(set) var leaving: [Child] = []
    /// Whether the slot goes when its children are gone.
    var isRetiring = false
    /// What its child has in hand, as of the pool's last survey.
    var load = UInt8.max

    init(number: Int) { self.number = number }

    /// Whether its child may be given work. One that was recycled, its successor comes after: recycling has no more tasks run than there are
    /// slots. One that a reload has replaced, its successor runs beside, but however often there are reloads, that is all.
    var mayRunMore: Bool {
        guard !leaving.isEmpty else { return true }
        let busy = leaving.lazy.filter { !$0.lifecycle.hand.isEmpty && $0.crashingSince == nil }
        return busy.allSatisfy { $0.replacementDue == nil } && busy.count < 2
    }

    /// Whether two that were recycled have not gone yet: the next one waits for that. (One may be about to exit; a crash report takes long, and has
    /// a bound of its own.)
    var isRecycling: Bool { leaving.count { $0.replacementDue != nil && $0.crashingSince == nil } > 1 }

    /// Whether any of its children has work.
    var isBusy: Bool { children.contains { !$0.lifecycle.hand.isEmpty } }

    var isEmpty: Bool { child == nil && successor == nil && leaving.isEmpty }
    var children: [Child] { [child, successor].compactMap(\.self) + leaving }

    /// The successor is ready: it is given work from now on. Returns whom it replaces.
    func succeed() -> Child? {
        guard let successor else { return nil }
        let old = child
        if let old { leaving.append(old) }
        child = successor
        self.successor = nil
        return old
    }

    /// The child gets nothing new and is to be replaced, but not yet gone.
    func leave(_ child: Child) {
        remove(child)
        leaving.append(child)
    }

    /// A child is gone. A successor that is still starting takes an empty place as it is.
    func remove(_ gone: Child) {
        if successor === gone { successor = nil }
        leaving.removeAll { $0 === gone }
        guard child === gone else { return }
        child = successor
        successor = nil
    }
}
