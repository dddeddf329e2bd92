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

    /// Seconds until a descriptor that could not be watched is tried again.
    private static let retryPause = 0.1

    /// - Parameter afterwards: called after the pollable has acted.
    /// - Throws: there is no memory or no watch left for the timer.
    init(
        _ pollable: any Pollable, loop: EventLoop, priority: Int, afterwards: @escaping () -> Void
    ) throws(SystemError) {
        self.pollable = pollable
        self.loop = loop
        self.priority = priority
        self.afterwards = afterwards
        timer = try loop.timer(priority: priority) { [unowned self] in
            let now = MonotonicTime.now
            if let deadline = pollable.deadline, deadline <= now { pollable.expired(now: now) }
            self.afterwards()
        }
        sync()
    }

    /// Watches what the pollable wants watched now. To be called whenever it may have changed its mind: after each turn.
    func sync() {
        let interests = pollable.interests
        var isUnwatched = false
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
            if let source { sources[descriptor] = (interest.serial, source) } else { isUnwatched = true }
        }
        let retry = isUnwatched ? MonotonicTime.now.advanced(by: PollableSources.retryPause) : nil
        timer?.set([pollable.deadline, retry].compactMap(\.self).min())
    }
}
