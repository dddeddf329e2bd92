import CSystemd
import CoppiceSystem
import Glibc

/// A descriptor that is watched.
public final class IOSource: EventSource {
    public let descriptor: Int32
    private let handler: (PollEvents) -> Void
    private var events: PollEvents

    init(_ loop: EventLoop, _ descriptor: Int32, _ events: PollEvents, _ priority: Int, _ handler: @escaping (PollEvents) -> Void)
        throws(SystemError)
    {
        self.descriptor = descriptor
        self.handler = handler
        self.events = events
        super.init(loop)
        try attach(priority: priority, "sd_event_add_io") { event, source, userdata in
            sd_event_add_io(
                event, source, descriptor, IOSource.mask(events),
                { _, _, revents, userdata in
                    IOSource.from(userdata)?.handler(IOSource.events(revents))
                    return 0
                }, userdata)
        }
    }

    /// Watches for something else from now on; hang-ups are always reported.
    public func set(_ events: PollEvents) {
        guard events != self.events else { return }
        self.events = events
        sd_event_source_set_io_events(source, IOSource.mask(events))
    }

    /// Whether something has happened on it that has not been handled: as of this turn, and without asking the kernel.
    public var isPending: Bool { sd_event_source_get_pending(source) > 0 }

    private static func mask(_ events: PollEvents) -> UInt32 {
        (events.contains(.read) ? EPOLLIN.rawValue : 0) | (events.contains(.write) ? EPOLLOUT.rawValue : 0)
    }

    private static func events(_ mask: UInt32) -> PollEvents {
        var events: PollEvents = []
        if mask & EPOLLIN.rawValue != 0 { events.insert(.read) }
        if mask & EPOLLOUT.rawValue != 0 { events.insert(.write) }
        if mask & (EPOLLHUP.rawValue | EPOLLERR.rawValue) != 0 { events.insert(.hangup) }
        return events
    }
}
