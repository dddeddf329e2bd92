import CoppiceShared
import Glibc

/// poll(2) over plain descriptors and over `Pollable`s.
public enum Poll {
    /// Waits until something happens on one of `interests` or the deadline is reached; returns what happened.
    public static func wait(_ interests: [PollInterest], until deadline: MonotonicTime?) throws(SystemError) -> [PollInterest] {
        var set = interests.map { interest in
            pollfd(
                fd: interest.descriptor,
                events: Int16((interest.events.contains(.read) ? POLLIN : 0) | (interest.events.contains(.write) ? POLLOUT : 0)), revents: 0
            )
        }
        while true {
            let count = poll(&set, nfds_t(set.count), timeout(until: deadline))
            if count < 0 {
                if errno == EINTR { continue }
                throw SystemError("poll")
            }
            return set.filter { $0.revents != 0 }.map { entry in
                var events: PollEvents = []
                if Int32(entry.revents) & POLLIN != 0 { events.insert(.read) }
                if Int32(entry.revents) & POLLOUT != 0 { events.insert(.write) }
                if Int32(entry.revents) & (POLLERR | POLLHUP | POLLNVAL) != 0 { events.insert(.hangup) }
                return PollInterest(descriptor: entry.fd, events: events)
            }
        }
    }

    /// One turn: waits for the pollables' descriptors and deadlines, at most until `deadline`, and lets them act.
    public static func turn(_ pollables: [any Pollable], until deadline: MonotonicTime) throws(SystemError) {
        let nearest = pollables.compactMap(\.deadline).min().map { min($0, deadline) } ?? deadline
        let happened = try wait(pollables.flatMap(\.interests), until: nearest)
        let now = MonotonicTime.now
        for event in happened {
            for pollable in pollables where pollable.interests.contains(where: { $0.descriptor == event.descriptor }) {
                pollable.ready(event.descriptor, event.events, now: now)
                break
            }
        }
        for pollable in pollables {
            if let deadline = pollable.deadline, deadline <= now { pollable.expired(now: now) }
        }
    }

    /// Milliseconds, rounded up so that a deadline is past when poll returns.
    private static func timeout(until deadline: MonotonicTime?) -> Int32 {
        guard let deadline else { return -1 }
        let nanoseconds = deadline.nanoseconds.subtractingReportingOverflow(MonotonicTime.now.nanoseconds).partialValue
        guard nanoseconds > 0 else { return 0 }
        return Int32(min(Int64(Int32.max), (nanoseconds - 1) / 1_000_000 + 1))
    }
}
