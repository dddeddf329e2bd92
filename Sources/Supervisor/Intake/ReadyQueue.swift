import CoppiceShared
import DequeModule

/// What may be handed out: by priority step, first come first served within it.
///
/// Round robin over queues is the take's doing: messages arrive here in that order.
struct ReadyQueue {
    /// Two for each of kombu's four steps: what was up before, since a child gave it back or its record stands now, and what was not.
    private var lines: [Deque<Delivery>] = Array(repeating: Deque(), count: 8)

    var isEmpty: Bool { lines.allSatisfy(\.isEmpty) }
    var count: Int { lines.reduce(0) { $0 + $1.count } }

    mutating func append(_ delivery: Delivery) { lines[line(delivery) + 1].append(delivery) }

    /// Puts deliveries that a child gave back before all others of their step, in their order.
    mutating func prepend(_ deliveries: [Delivery]) {
        for delivery in deliveries.reversed() { lines[line(delivery)].prepend(delivery) }
    }

    /// Puts a delivery whose record stands behind those that were up before, and before all others of its step.
    mutating func appendRecorded(_ delivery: Delivery) { lines[line(delivery)].append(delivery) }

    /// Takes out, in order, what `body` accepts; what it refuses stays.
    mutating func handOut(_ body: (Delivery) -> Verdict) {
        for index in lines.indices {
            var refused: [Delivery] = []
            defer { lines[index].prepend(contentsOf: refused) }
            while let delivery = lines[index].popFirst() {
                switch body(delivery) {
                case .taken: continue
                case .refused: refused.append(delivery)
                case .full:
                    refused.append(delivery)
                    return
                }
            }
        }
    }

    enum Verdict {
        case taken
        /// Not this one now; others may be.
        case refused
        /// No room for any.
        case full
    }

    /// Takes out what is not to be handed out any more, in order.
    mutating func remove(where isOver: (Delivery) -> Bool) -> [Delivery] {
        var removed: [Delivery] = []
        for index in lines.indices {
            removed += lines[index].filter(isOver)
            lines[index].removeAll(where: isOver)
        }
        return removed
    }

    mutating func removeAll() -> [Delivery] { remove { _ in true } }

    /// The first of its step's two.
    private func line(_ delivery: Delivery) -> Int { 2 * min(delivery.message.priority / 3, 3) }
}
