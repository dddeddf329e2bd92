import CLinux
import Glibc

/// A thread of the operating system's own, for what must go on whatever Swift's thread pool does.
public enum NativeThread {
    /// Starts `body` in a new thread, which nobody joins.
    ///
    /// - Parameter name: shown by ps and gdb; at most 15 bytes.
    public static func start(_ name: String, _ body: @escaping @Sendable () -> Void) throws(SystemError) {
        var attributes = pthread_attr_t()
        pthread_attr_init(&attributes)
        defer { pthread_attr_destroy(&attributes) }
        pthread_attr_setdetachstate(&attributes, Int32(PTHREAD_CREATE_DETACHED))
        // The thread's start releases the box that is retained here; if there is no thread, the failure path does.
        let box = Unmanaged.passRetained(Body(name, body))
        var thread = pthread_t()
        let failure = pthread_create(
            &thread, &attributes,
            { argument in
                guard let argument else { return nil }
                let body = Unmanaged<Body>.fromOpaque(argument).takeRetainedValue()
                coppice_name_thread(body.name)
                body.run()
                return nil
            }, box.toOpaque())
        guard failure == 0 else {
            box.release()
            throw SystemError("pthread_create", code: failure)
        }
    }

    private final class Body: Sendable {
        let name: String
        let run: @Sendable () -> Void

        init(_ name: String, _ run: @escaping @Sendable () -> Void) {
            self.name = name
            self.run = run
        }
    }
}
