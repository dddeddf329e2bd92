import CoppiceShared
import DequeModule

/// What may be handed out: by priority step, first come first served within it.
///
/// Round robin over queues is the take's doing: messages arrive here in that order.
struct ReadyQueue {
    private var steps: [Deque<Delivery>] = Array(repeating: Deque(), count: 4)

    var isEmpty: Bool { steps.allSatisfy(\.isEmpty) }
    var count: Int { steps.reduce(0) { $0 + $1.count } }

    mutating func append(_ delivery: Delivery) { steps[step(delivery)].append(delivery) }

    /// Puts deliveries that a child gave back where they were: before the others, in their order.
    mutating func prepend(_ deliveries: [Delivery]) {
        for delivery in deliveries.reversed() { steps[step(delivery)].prepend(delivery) }
    }

    /// Puts a delivery whose record stands behind those of which that is already so, and before all others of its step.
    mutating func insertRecorded(_ delivery: Delivery) {
        let step = step(delivery)
        let place = steps[step].firstIndex { $0.record.state != .standing } ?? steps[step].endIndex
        steps[step].insert(delivery, at: place)
    }

    /// Takes out, in order, what `body` accepts; what it refuses stays.
    mutating func handOut(_ body: (Delivery) -> Verdict) {
        for index in steps.indices {
            var refused: [Delivery] = []
            defer { steps[index].prepend(contentsOf: refused) }
            while let delivery = steps[index].popFirst() {
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

    mutating func removeAll() -> [Delivery] {
        defer { for index in steps.indices { steps[index].removeAll() } }
        return steps.flatMap { Array($0) }
    }

    /// kombu's four priority steps.
    private func step(_ delivery: Delivery) -> Int { min(delivery.message.priority / 3, 3) }
}
