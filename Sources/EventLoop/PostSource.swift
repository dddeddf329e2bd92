import CSystemd
import CoppiceSystem

/// Served once whenever other sources have been served.
public final class PostSource: EventSource {
    private let handler: () -> Void

    init(_ loop: EventLoop, _ priority: Int, _ handler: @escaping () -> Void) throws(SystemError) {
        self.handler = handler
        super.init(loop)
        try attach(priority: priority, "sd_event_add_post") { event, source, userdata in
            sd_event_add_post(
                event, source,
                { _, userdata in
                    PostSource.from(userdata)?.handler()
                    return 0
                }, userdata)
        }
    }
}
