import CoppiceShared

/// How many slots there are.
extension Pool {
    /// Adds slots, or has the emptiest ones retire: their children finish what they have begun and are not replaced.
    ///
    /// - Parameter size: from 1.
    func resize(to size: Int, now: MonotonicTime) {
        guard size != self.size else { return }
        if size > self.size { grow(by: size - self.size) } else { shrink(by: self.size - size, now: now) }
        log.info("\(size) children from now on")
    }

    private func grow(by count: Int) {
        var missing = count
        // One that retires may come back: what its child was told holds, and then it is replaced.
        for slot in slots where slot.isRetiring && missing > 0 {
            slot.isRetiring = false
            missing -= 1
        }
        var number = 0
        var place = 0
        while missing > 0 {
            number += 1
            if place < slots.count, slots[place].number == number {
                place += 1
                continue
            }
            slots.insert(Slot(number: number), at: place)
            place += 1
            missing -= 1
        }
        size += count
        isSurveyed = false
    }

    private func shrink(by count: Int, now: MonotonicTime) {
        let active = slots.filter { !$0.isRetiring }
        func work(_ slot: Slot) -> Int { slot.child == nil ? -1 : slot.children.reduce(0) { $0 + $1.lifecycle.hand.count } }
        for slot in active.sorted(by: { (work($0), -$0.number) < (work($1), -$1.number) }).prefix(count) {
            slot.isRetiring = true
            if let successor = slot.successor { dismiss(successor, now: now) }
            if let child = slot.child { dismiss(child, now: now) }
        }
        size -= count
        removeRetired()
    }

    /// Lets slots go that retire and have no child any more.
    func removeRetired() {
        slots.removeAll { $0.isRetiring && $0.isEmpty }
    }
}
