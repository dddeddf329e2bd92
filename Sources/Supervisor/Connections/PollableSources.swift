import CoppiceEventLoop
import CoppiceShared
import CoppiceSystem

/// Ties a `Pollable` to the loop: one source a descriptor, one timer.
final class PollableSources {
    private let loop: EventLoop
    private let priority: Int
    private let pollable: any Pollable
    private let afterwards: () -> Void
    private var sources: [Int32: (serial: Int, source: IOSource)] = [:]
    private var timer: TimerSource?

    /// - Parameter afterwards: called after the pollable has acted.
    init(_ pollable: any Pollable, loop: EventLoop, priority: Int, afterwards: @escaping () -> Void) {
        self.pollable = pollable
        self.loop = loop
        self.priority = priority
        self.afterwards = afterwards
        timer = try? loop.timer(priority: priority) { [unowned self] in
            pollable.expired(now: .now)
            self.afterwards()
        }
        sync()
    }

    /// Watches what the pollable wants watched now. To be called whenever it may have changed its mind: after each turn.
    func sync() {
        let interests = pollable.interests
        for (descriptor, known) in sources where !interests.contains(where: { $0.descriptor == descriptor && $0.serial == known.serial }) {
            sources[descriptor] = nil
        }
        for interest in interests {
            if let known = sources[interest.descriptor] {
                known.source.set(interest.events)
                continue
            }
            let descriptor = interest.descriptor
            let source = try? loop.watch(descriptor, for: interest.events, priority: priority) { [unowned self] events in
                pollable.ready(descriptor, events, now: .now)
                afterwards()
            }
            if let source { sources[descriptor] = (interest.serial, source) }
        }
        timer?.set(pollable.deadline)
    }
}
