/// A place in the pool. It outlives its processes: its number is the child's name in logs.
final class Slot {
    /// From 1.
    let number: Int
    var child: Child?

    init(number: Int) { self.number = number }
}
