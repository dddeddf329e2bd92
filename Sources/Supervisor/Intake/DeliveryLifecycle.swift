import CoppiceShared

/// A delivery's way through the master, in two dimensions: how far its task is, and whether its message is settled with the broker.
/// Settlement leaves `open` exactly once.
struct DeliveryLifecycle: Equatable {
    enum Progress: Equatable {
        case received
        /// Due within seconds; the master holds it.
        case waiting(until: WallTime)
        case ready
        /// Something is being written with the broker that must stand before it is handed out.
        case recording
        case assigned(slot: Int)
        case running(slot: Int)
        /// The task has ended.
        case concluded
        /// It never ran here: revoked, expired, malformed, unknown, parked or given back.
        case discarded
    }

    enum Settlement: Equatable {
        case open
        case settling
        case settled
        /// The broker says that the message is not ours any more: nothing was written.
        case void
    }

    private(set) var progress = Progress.received
    private(set) var settlement = Settlement.open

    /// Claimed: counts against the window.
    var isClaimed: Bool {
        switch progress {
        case .received, .waiting, .ready, .recording, .assigned: true
        case .running, .concluded, .discarded: false
        }
    }

    var isRunning: Bool { if case .running = progress { true } else { false } }

    mutating func waits(until time: WallTime) {
        precondition(progress == .received, "only a new delivery waits for its time")
        progress = .waiting(until: time)
    }

    /// May be handed out: new, due, recorded, or given back by a child.
    mutating func becameReady() {
        switch progress {
        case .received, .waiting, .recording, .assigned: progress = .ready
        case .ready, .running, .concluded, .discarded: preconditionFailure("a delivery became ready out of turn")
        }
    }

    mutating func records() {
        precondition(progress == .ready, "only a ready delivery is recorded")
        progress = .recording
    }

    mutating func assigned(to slot: Int) {
        precondition(progress == .ready, "only a ready delivery is assigned")
        progress = .assigned(slot: slot)
    }

    mutating func started() {
        guard case .assigned(let slot) = progress else { preconditionFailure("a delivery started that was not assigned") }
        progress = .running(slot: slot)
    }

    mutating func concluded() {
        precondition(isRunning, "a delivery concluded that did not run")
        progress = .concluded
        settlement = .settling
    }

    mutating func discarded() {
        precondition(isClaimed && settlement == .open, "a delivery was discarded that is past it")
        progress = .discarded
        settlement = .settling
    }

    /// The broker has answered the settlement.
    mutating func settled(held: Bool) {
        precondition(settlement == .settling, "a delivery was settled that was not settling")
        settlement = held ? .settled : .void
    }
}
