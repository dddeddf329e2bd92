import CSystemd
import CoppiceSystem
import Glibc

/// Many descriptors that are read, as one source of the loop: all that are ready are served in one go.
///
/// With a source each the loop would go back to the kernel before every single one, and look each time at all the others that are ready.
public final class IOGroup {
    private let epoll: Descriptor
    private var source: IOSource?
    /// By what the kernel is told to call them. A number is never used twice, so that one of an earlier answer can't mean a newcomer.
    private var handlers: [UInt64: () -> Void] = [:]
    private var lastKey: UInt64 = 0
    private var ready: [epoll_event] = []

    init(_ loop: EventLoop, priority: Int) throws(SystemError) {
        let raw = epoll_create1(Int32(EPOLL_CLOEXEC))
        guard raw >= 0 else { throw SystemError("epoll_create1") }
        epoll = Descriptor(owning: raw)
        source = try loop.watch(raw, for: .read, priority: priority) { [unowned self] _ in serve() }
    }

    // Before the descriptor that it watches is closed.
    deinit { source = nil }

    /// Watches a descriptor until the member is dropped. It must stay open for so long.
    ///
    /// - Parameter handler: there is something to be read, or the other end is closed.
    public func watch(_ descriptor: Int32, _ handler: @escaping () -> Void) throws(SystemError) -> IOMember {
        lastKey += 1
        var event = epoll_event()
        event.events = EPOLLIN.rawValue
        event.data.u64 = lastKey
        guard epoll_ctl(epoll.raw, EPOLL_CTL_ADD, descriptor, &event) == 0 else { throw SystemError("epoll_ctl") }
        handlers[lastKey] = handler
        if handlers.count > ready.count { ready = Array(repeating: epoll_event(), count: 2 * handlers.count) }
        return IOMember(self, descriptor, key: lastKey)
    }

    /// Moves the whole group to another place in the order of service.
    public func set(priority: Int) { source?.set(priority: priority) }

    /// Every member that is ready, once.
    private func serve() {
        let room = Int32(ready.count)
        // The kernel writes at most `room` elements, which is how many there are.
        let count = ready.withUnsafeMutableBufferPointer { epoll_wait(epoll.raw, $0.baseAddress, room, 0) }
        guard count > 0 else { return }
        for index in 0..<Int(count) {
            // One that has been dropped by a handler before it is not there any more.
            handlers[ready[index].data.u64]?()
        }
    }

    func drop(_ descriptor: Int32, key: UInt64) {
        handlers[key] = nil
        epoll_ctl(epoll.raw, EPOLL_CTL_DEL, descriptor, nil)
    }
}
