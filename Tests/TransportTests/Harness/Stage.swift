import CoppiceResults
import CoppiceShared
import CoppiceSystem
import CoppiceTransport

/// What was waited for did not come.
struct DidNotCome: Error, CustomStringConvertible {
    var what: String
    var seen: String
    var description: String { "\(what) did not come; instead: \(seen)" }
}

/// Drives sessions, senders and stores with poll(2), each with an inbox. Who has left the stage is no longer driven: for the broker
/// it is as good as dead, or stopped.
final class Stage {
    private(set) var seats: [any AnySeat] = []
    /// The longest time that one turn's work has taken, its waiting left out.
    private(set) var longestTurn = 0.0

    /// From here on `longestTurn` counts anew.
    func forgetTurns() { longestTurn = 0 }

    func add<Event>(_ pollable: any Pollable, take: @escaping () -> [Event]) -> Seat<Event> {
        let seat = Seat(pollable, take: take, stage: self)
        seats.append(seat)
        return seat
    }

    func leave(_ seat: any AnySeat) { seats.removeAll { $0 === seat } }
    func enter(_ seat: any AnySeat) { seats.append(seat) }

    func turn(until end: MonotonicTime) throws {
        let pollables = seats.map(\.pollable)
        let nearest = pollables.compactMap(\.deadline).min().map { min($0, end) } ?? end
        _ = try Poll.wait(pollables.flatMap(\.interests), until: nearest)
        let start = MonotonicTime.now
        try Poll.turn(pollables, until: start)
        longestTurn = max(longestTurn, MonotonicTime.now.seconds(since: start))
        for seat in seats { seat.collect() }
    }

    /// Turns until `look` finds something.
    @discardableResult
    func wait<Value>(_ what: String, seconds: Double = 15, _ look: () -> Value?) throws -> Value {
        let end = MonotonicTime.now.advanced(by: seconds)
        while true {
            for seat in seats { seat.collect() }
            if let value = look() { return value }
            guard MonotonicTime.now < end else {
                throw DidNotCome(what: what, seen: seats.map(\.summary).joined(separator: " | "))
            }
            try turn(until: end)
        }
    }

    /// Turns for so long, whatever happens: to see that something does not happen.
    func pass(seconds: Double) throws {
        let end = MonotonicTime.now.advanced(by: seconds)
        while MonotonicTime.now < end { try turn(until: end) }
    }
}

protocol AnySeat: AnyObject {
    var pollable: any Pollable { get }
    var summary: String { get }
    func collect()
}

/// One party on the stage with what it has reported and nobody has looked at yet.
final class Seat<Event>: AnySeat {
    let pollable: any Pollable
    private let take: () -> [Event]
    private unowned let stage: Stage
    private(set) var inbox: [Event] = []

    fileprivate init(_ pollable: any Pollable, take: @escaping () -> [Event], stage: Stage) {
        self.pollable = pollable
        self.take = take
        self.stage = stage
    }

    var summary: String { "\(inbox)" }

    func collect() { inbox += take() }

    /// Waits for an event of a kind and takes it out of the inbox; others stay.
    @discardableResult
    func next<Value>(_ what: String, seconds: Double = 15, _ pick: (Event) -> Value?) throws -> Value {
        try stage.wait(what, seconds: seconds) { popFirst(pick) }
    }

    func popFirst<Value>(_ pick: (Event) -> Value?) -> Value? {
        for (index, event) in inbox.enumerated() {
            if let value = pick(event) {
                inbox.remove(at: index)
                return value
            }
        }
        return nil
    }
}
