import CSystemd
import CoppiceSystem
import Glibc

/// A signal, read through a signalfd.
public final class SignalSource: EventSource {
    private let handler: () -> Void

    init(_ loop: EventLoop, _ number: Int32, _ priority: Int, _ handler: @escaping () -> Void) throws(SystemError) {
        self.handler = handler
        super.init(loop)
        // sd-event wants the signal blocked, so that nothing but the signalfd takes it.
        var set = sigset_t()
        sigemptyset(&set)
        sigaddset(&set, number)
        sigprocmask(SIG_BLOCK, &set, nil)
        try attach(priority: priority, "sd_event_add_signal") { event, source, userdata in
            sd_event_add_signal(
                event, source, number,
                { _, _, userdata in
                    SignalSource.from(userdata)?.handler()
                    return 0
                }, userdata)
        }
    }
}
