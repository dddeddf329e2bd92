import CoppiceShared
import HeapModule

/// What is due within seconds, the earliest first; one timer serves all.
struct DueSchedule {
    private struct Entry: Comparable {
        var at: WallTime
        var delivery: Delivery
        static func < (a: Entry, b: Entry) -> Bool { a.at < b.at }
        static func == (a: Entry, b: Entry) -> Bool { a.at == b.at }
    }

    private var heap = Heap<Entry>()

    var isEmpty: Bool { heap.isEmpty }
    var next: WallTime? { heap.min?.at }

    mutating func insert(_ delivery: Delivery, at time: WallTime) { heap.insert(Entry(at: time, delivery: delivery)) }

    mutating func popDue(now: WallTime) -> Delivery? {
        guard let first = heap.min, first.at <= now else { return nil }
        return heap.popMin()?.delivery
    }

    mutating func removeAll() -> [Delivery] {
        var all: [Delivery] = []
        while let entry = heap.popMin() { all.append(entry.delivery) }
        return all
    }
}
