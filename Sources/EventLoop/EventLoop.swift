import CSystemd
import CoppiceShared
import CoppiceSystem
import Glibc

/// sd-event: prioritised sources on one thread. Of several that are ready the one with the lowest priority number is served first.
///
/// Handlers run on the thread that called `run`, one at a time. A source lives as long as its object: dropping the object, in its own
/// handler too, ends it.
public final class EventLoop {
    let event: OpaquePointer

    public init() throws(SystemError) {
        var event: OpaquePointer?
        let result = sd_event_new(&event)
        guard result >= 0, let event else { throw SystemError("sd_event_new", code: -result) }
        self.event = event
    }

    deinit { sd_event_unref(event) }

    /// Serves sources until `exit` is called; returns its code.
    public func run() throws(SystemError) -> Int32 {
        let result = sd_event_loop(event)
        guard result >= 0 else { throw SystemError("sd_event_loop", code: -result) }
        return result
    }

    /// Ends `run` after the handler that calls this.
    public func exit(_ code: Int32) { sd_event_exit(event, code) }

    /// Watches a descriptor. It must stay open for as long as the source lives.
    public func watch(_ descriptor: Int32, for events: PollEvents, priority: Int, _ handler: @escaping (PollEvents) -> Void)
        throws(SystemError) -> IOSource
    {
        try IOSource(self, descriptor, events, priority, handler)
    }

    /// A group of descriptors that are read, without members yet.
    public func group(priority: Int) throws(SystemError) -> IOGroup { try IOGroup(self, priority: priority) }

    /// A timer that is not set yet.
    public func timer(priority: Int, _ handler: @escaping () -> Void) throws(SystemError) -> TimerSource {
        try TimerSource(self, priority, handler)
    }

    /// Blocks a signal and reports it here instead.
    public func signal(_ number: Int32, priority: Int, _ handler: @escaping () -> Void) throws(SystemError) -> SignalSource {
        try SignalSource(self, number, priority, handler)
    }

    /// Called at the end of every turn in which another source was served.
    public func afterEachTurn(priority: Int, _ handler: @escaping () -> Void) throws(SystemError) -> PostSource {
        try PostSource(self, priority, handler)
    }
}
