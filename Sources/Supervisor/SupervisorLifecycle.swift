/// Where the master stands in its life. Urgency only rises.
///
/// booting → running → draining(mode) → finished(code). The first READY is sent on leaving `booting`. Beside that it may be quiet: it takes
/// nothing and stays up.
struct SupervisorLifecycle: Equatable {
    enum DrainMode: Int, Comparable {
        /// Finish what runs, give the rest back.
        case warm
        /// The same for a time that was set, then cold.
        case soft
        /// Kill what runs, settle it, give the rest back.
        case cold

        static func < (a: DrainMode, b: DrainMode) -> Bool { a.rawValue < b.rawValue }
    }

    enum State: Equatable {
        case booting
        case running
        case draining(DrainMode)
        case finished(Int32)
    }

    private(set) var state = State.booting
    /// What `finished` will carry: 1 after SIGINT or a failure, as Celery has it.
    private(set) var exitCode: Int32 = 0
    private(set) var isQuiet = false

    var isDraining: Bool { if case .draining = state { true } else { false } }
    var drainMode: DrainMode? { if case .draining(let mode) = state { mode } else { nil } }
    var takesMessages: Bool { (state == .booting || state == .running) && !isQuiet }

    /// Asks for quiet, or for its end. Returns whether that changes anything.
    mutating func quiet(_ isQuiet: Bool) -> Bool {
        guard state == .booting || state == .running, isQuiet != self.isQuiet else { return false }
        self.isQuiet = isQuiet
        return true
    }

    /// The broker's session stands and the first child is ready. Returns whether that is news.
    mutating func becameReady() -> Bool {
        guard state == .booting else { return false }
        state = .running
        return true
    }

    /// Asks for a shutdown. Returns whether it is more urgent than what goes on already.
    mutating func drain(_ mode: DrainMode, exitCode: Int32) -> Bool {
        if case .finished = state { return false }
        self.exitCode = max(self.exitCode, exitCode)
        switch state {
        case .booting, .running:
            state = .draining(mode)
            return true
        case .draining(let current):
            guard mode > current else { return false }
            state = .draining(mode)
            return true
        case .finished: return false
        }
    }

    /// Nothing is left to do.
    mutating func finished() {
        state = .finished(exitCode)
    }
}
