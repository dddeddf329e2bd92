import CoppiceShared
import CoppiceSystem

/// The way up: frames gather here and leave in batches.
///
/// Any thread appends. Whoever flushes writes until nothing is left, outside the lock, so that a master that reads slowly holds up
/// only the writer; a second one who wants to flush leaves it to the first, which keeps the frames in order. The executor
/// flushes with each `started`, which so carries the reports before it along; the pulse thread when something has waited for
/// `patience` behind a long handler, and it adds the heartbeats.
final class Outlet: Sendable {
    private struct State {
        var pending: [UInt8] = []
        /// The buffer that the last batch left, so that it need not be allocated anew.
        var spare: [UInt8] = []
        /// When the oldest pending byte came.
        var since: MonotonicTime?
        var isWriting = false
        /// The assignment between `started` and `done`, or 0.
        var running: UInt64 = 0
        /// A heartbeat stands in `pending`. One is enough, however long nobody reads.
        var hasBeat = false
        /// Seconds of the last pledge that stands in `pending`: a handler may make thousands in a millisecond.
        var pledged: Double?
        /// The pulse thread sleeps until the next beat and must be woken for anything else.
        var pulseDozes = false
        /// How many appenders wait for a slow reader.
        var waiting = 0
    }

    /// How long a frame may wait for company.
    private static let patience = 0.002
    /// Above this an appender writes, or waits for who does: the bound of this buffer.
    private static let limit = 1 << 20

    private let state = Monitor(State())
    private let descriptor: Int32

    init(descriptor: Int32) { self.descriptor = descriptor }

    /// Adds a frame.
    ///
    /// - Parameter flush: whether it leaves now.
    func append(_ frame: [UInt8], flush: Bool = false) {
        change(flush: flush) { $0.pending.append(contentsOf: frame) }
    }

    /// Adds `started`, behind `call` if there is one, and returns when it is in the pipe, with all that came before it: a handler that takes the process down can
    /// take no report along, and the master knows exactly what had begun.
    func start(_ assignment: UInt64, call: [UInt8]?) {
        change(flush: true) { state in
            state.running = assignment
            if let call { state.pending.append(contentsOf: call) }
            state.pending.append(contentsOf: UpFrame.started(assignment: assignment).encoded)
        }
        drain()
    }

    /// Adds `done`.
    func finish(_ assignment: UInt64, _ outcome: Outcome) {
        var frame = UpFrame.done(assignment: assignment, outcome: outcome).encoded
        // A result has its bound; the arguments of an exception have none before this.
        if !PipeProtocol.fits(frame) { frame = UpFrame.done(assignment: assignment, outcome: outcome.shortened).encoded }
        // Nobody is woken for it: the executor goes on to the next task, or flushes because there is none.
        state.withLock { state in
            if state.pending.isEmpty { state.since = .now }
            state.running = 0
            state.pledged = nil
            state.pending.append(contentsOf: frame)
        }
    }

    /// Adds a frame that is legal only between the assignment's `started` and `done`; at any other time it is dropped.
    func appendWhileRunning(_ assignment: UInt64, _ frame: [UInt8]) {
        change(flush: false) { state in
            if state.running == assignment { state.pending.append(contentsOf: frame) }
        }
    }

    /// Adds a pledge of the running assignment. One that says what a pending one says is as good as said.
    func pledge(_ assignment: UInt64, seconds: Double) {
        change(flush: false) { state in
            guard state.running == assignment, state.pledged != seconds else { return }
            state.pledged = seconds
            state.pending.append(contentsOf: UpFrame.pledge(assignment: assignment, seconds: seconds).encoded)
        }
    }

    private func change(flush wanted: Bool, _ body: (inout State) -> Void) {
        let (wake, flush) = state.withLock { state in
            let wasEmpty = state.pending.isEmpty
            body(&state)
            if wasEmpty, !state.pending.isEmpty { state.since = .now }
            let flush = wanted || state.pending.count > Self.limit
            let wake = state.pulseDozes && !flush && !state.pending.isEmpty
            if wake { state.pulseDozes = false }
            return (wake, flush)
        }
        if wake { state.broadcast() }
        if flush {
            self.flush()
            waitForSpace()
        }
    }

    /// Writes what is pending, unless somebody is at it.
    func flush() {
        var batch: [UInt8] = []
        let mine = state.withLock { state in
            guard !state.isWriting, !state.pending.isEmpty else { return false }
            state.isWriting = true
            Self.take(&batch, from: &state)
            return true
        }
        guard mine else { return }
        var more = true
        while more {
            // It fails only when the master is gone.
            do { try Descriptor.write(all: batch, to: descriptor) } catch { CurrentProcess.endNow(0) }
            let waiting: Int
            (more, waiting) = state.withLock { state in
                batch.removeAll(keepingCapacity: batch.capacity <= 1 << 16)
                swap(&state.spare, &batch)
                let waiting = state.waiting
                state.waiting = 0
                state.isWriting = !state.pending.isEmpty
                if state.isWriting { Self.take(&batch, from: &state) }
                return (state.isWriting, waiting)
            }
            if waiting > 0 { state.broadcast() }
        }
    }

    /// Writes everything and returns when it has left, whoever writes it. For the process's end.
    func drain() {
        flush()
        state.wait { state -> Monitor<State>.Look<Void> in
            guard state.isWriting else { return .found(()) }
            state.waiting += 1
            return .wait
        }
    }

    private static func take(_ batch: inout [UInt8], from state: inout State) {
        swap(&batch, &state.spare)
        swap(&batch, &state.pending)
        state.since = nil
        state.hasBeat = false
        state.pledged = nil
    }

    /// Holds an appender back while another writes and the buffer is full.
    private func waitForSpace() {
        state.wait { state -> Monitor<State>.Look<Void> in
            guard state.isWriting, state.pending.count > Self.limit else { return .found(()) }
            state.waiting += 1
            return .wait
        }
    }

    /// The pulse thread's life: a beat every `interval` seconds, and no frame left behind.
    ///
    /// - Parameter phase: children of one phase beat at the same instants, so that a master that has hundreds is woken a few times a second.
    func pulse(every interval: Double, phase: Double) -> Never {
        var nextBeat = MonotonicTime.now.next(every: interval, phase: phase)
        while true {
            let isBeat = state.wait { state -> Monitor<State>.Look<Bool> in
                state.pulseDozes = false
                let now = MonotonicTime.now
                if now >= nextBeat { return .found(true) }
                if let since = state.since, !state.isWriting {
                    let due = since.advanced(by: Self.patience)
                    return now >= due ? .found(false) : .waitUntil(min(due, nextBeat))
                }
                state.pulseDozes = true
                return .waitUntil(nextBeat)
            }
            if isBeat {
                state.withLock { state in
                    guard !state.hasBeat else { return }
                    state.hasBeat = true
                    state.pending.append(contentsOf: UpFrame.heartbeat(assignment: state.running).encoded)
                }
                nextBeat = MonotonicTime.now.next(every: interval, phase: phase)
            }
            flush()
        }
    }
}
