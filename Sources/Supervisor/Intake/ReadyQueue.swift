import CoppiceShared
import CoppiceTransport
import DequeModule

/// The deliveries that may be handed out: by priority in the broker's order, first come first served within a rank.
///
/// Round robin over queues is the take's doing: messages arrive here in that order.
struct ReadyQueue {
    private struct Line {
        let rank: Int
        /// Deliveries that were up before, since a child gave them back or their record stands now: first in their rank.
        var earlier: Deque<Delivery> = []
        var rest: Deque<Delivery> = []

        var isEmpty: Bool { earlier.isEmpty && rest.isEmpty }
    }

    private let order: PriorityOrder
    /// One for each rank that has had deliveries, the lowest first: as many as there are priorities at most.
    private var lines: [Line] = []

    init(_ order: PriorityOrder) { self.order = order }

    var isEmpty: Bool { lines.allSatisfy(\.isEmpty) }
    var count: Int { lines.reduce(0) { $0 + $1.earlier.count + $1.rest.count } }

    mutating func append(_ delivery: Delivery) { lines[line(delivery)].rest.append(delivery) }

    /// Puts deliveries that a child gave back before all others of their rank, in their order.
    mutating func prepend(_ deliveries: [Delivery]) {
        for delivery in deliveries.reversed() { lines[line(delivery)].earlier.prepend(delivery) }
    }

    /// Puts a delivery whose record stands behind those that were up before, and before all others of its rank.
    mutating func appendRecorded(_ delivery: Delivery) { lines[line(delivery)].earlier.append(delivery) }

    /// Takes out, in order, what `body` accepts; what it refuses stays. `body` puts nothing in.
    mutating func handOut(_ body: (Delivery) -> Verdict) {
        for index in lines.indices {
            guard ReadyQueue.handOut(&lines[index].earlier, body), ReadyQueue.handOut(&lines[index].rest, body) else { return }
        }
    }

    /// Returns whether there may be room for more.
    private static func handOut(_ deliveries: inout Deque<Delivery>, _ body: (Delivery) -> Verdict) -> Bool {
        var refused: [Delivery] = []
        defer { deliveries.prepend(contentsOf: refused) }
        while let delivery = deliveries.popFirst() {
            switch body(delivery) {
            case .taken: continue
            case .refused: refused.append(delivery)
            case .full:
                refused.append(delivery)
                return false
            }
        }
        return true
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
            removed += lines[index].earlier.filter(isOver) + lines[index].rest.filter(isOver)
            lines[index].earlier.removeAll(where: isOver)
            lines[index].rest.removeAll(where: isOver)
        }
        return removed
    }

    mutating func removeAll() -> [Delivery] { remove { _ in true } }

    /// The place of a delivery's line, which is made where there is none.
    private mutating func line(_ delivery: Delivery) -> Int {
        let rank = order.rank(of: delivery.message.priority)
        let place = lines.firstIndex { $0.rank >= rank } ?? lines.endIndex
        if place == lines.endIndex || lines[place].rank != rank { lines.insert(Line(rank: rank), at: place) }
        return place
    }
}
