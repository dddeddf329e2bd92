import CSystemd
import CoppiceShared
import CoppiceSystem
import Glibc

/// A timer on the monotonic clock: fires once per setting.
public final class TimerSource: EventSource {
    private let handler: () -> Void
    private var time: MonotonicTime?

    /// Microseconds by which a timer may fire late, so that the kernel can serve several at once.
    private static let accuracy: UInt64 = 1000

    init(_ loop: EventLoop, _ priority: Int, _ handler: @escaping () -> Void) throws(SystemError) {
        self.handler = handler
        super.init(loop)
        try attach(priority: priority, "sd_event_add_time") { event, source, userdata in
            sd_event_add_time(
                event, source, clockid_t(CLOCK_MONOTONIC), UInt64.max, TimerSource.accuracy,
                { _, _, userdata in
                    guard let timer = TimerSource.from(userdata) else { return 0 }
                    timer.time = nil
                    timer.handler()
                    return 0
                }, userdata)
        }
        sd_event_source_set_enabled(source, Int32(SD_EVENT_OFF))
    }

    /// Fires at `time`; nil: not at all. Setting the time that is set already costs nothing.
    public func set(_ time: MonotonicTime?) {
        guard time != self.time else { return }
        self.time = time
        guard let time else {
            sd_event_source_set_enabled(source, Int32(SD_EVENT_OFF))
            return
        }
        sd_event_source_set_time(source, UInt64(max(0, time.nanoseconds) / 1000))
        sd_event_source_set_enabled(source, Int32(SD_EVENT_ONESHOT))
    }
}
