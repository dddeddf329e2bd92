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
