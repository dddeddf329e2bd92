import CSystemd
import CoppiceSystem

/// What all sources share: the C object, which ends with this one.
///
/// The C side holds an unretained pointer to this object as its user data. That is sound because `deinit` disables the C source
/// first: after it no callback can come.
public class EventSource {
    private let loop: EventLoop
    private(set) var source: OpaquePointer?

    init(_ loop: EventLoop) { self.loop = loop }

    /// - Parameter add: the sd_event_add_* call; gets the place for the source and the user data for its callback.
    final func attach(
        priority: Int, _ operation: String,
        _ add: (OpaquePointer, UnsafeMutablePointer<OpaquePointer?>, UnsafeMutableRawPointer) -> Int32
    ) throws(SystemError) {
        let result = add(loop.event, &source, Unmanaged.passUnretained(self).toOpaque())
        guard result >= 0 else { throw SystemError(operation, code: -result) }
        sd_event_source_set_priority(source, Int64(priority))
    }

    /// Moves the source to another place in the order of service.
    public final func set(priority: Int) { sd_event_source_set_priority(source, Int64(priority)) }

    deinit { sd_event_source_disable_unref(source) }

    /// The object behind a callback's user data, held for the callback's length.
    static func from(_ userdata: UnsafeMutableRawPointer?) -> Self? {
        userdata.map { Unmanaged<AnyObject>.fromOpaque($0).takeUnretainedValue() } as? Self
    }
}
