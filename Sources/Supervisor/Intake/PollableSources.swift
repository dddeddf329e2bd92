import CoppiceEventLoop
import CoppiceShared
import CoppiceSystem

/// Ties a `Pollable` to the loop: one source a descriptor, one timer.
final class PollableSources {
    private let loop: EventLoop
    private let priority: Int
    private let pollable: any Pollable
    private let afterwards: () -> Void
    private var sources: [Int32: IOSource] = [:]
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
        if sources.count > interests.count || sources.keys.contains(where: { key in !interests.contains { $0.descriptor == key } }) {
            for key in sources.keys where !interests.contains(where: { $0.descriptor == key }) { sources[key] = nil }
        }
        for interest in interests {
            if let source = sources[interest.descriptor] {
                source.set(interest.events)
            } else {
                let descriptor = interest.descriptor
                sources[descriptor] = try? loop.watch(descriptor, for: interest.events, priority: priority) { [unowned self] events in
                    pollable.ready(descriptor, events, now: .now)
                    afterwards()
                }
            }
        }
        timer?.set(pollable.deadline)
    }
}
