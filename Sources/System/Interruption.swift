import Glibc
import Synchronization

/// SIGINT, SIGQUIT, SIGTERM and SIGHUP as something that is asked for, for a command that has to clean up before it ends.
public enum Interruption {
    private static let received = Atomic<Int32>(0)

    /// From here on these signals only leave a note.
    public static func catchSignals() {
        received.store(0, ordering: .relaxed)
        for number in [SIGINT, SIGQUIT, SIGTERM, SIGHUP] {
            // What runs in a handler does no more than store a number.
            Glibc.signal(number) { Interruption.received.store($0, ordering: .relaxed) }
        }
    }

    /// The last of them that came.
    public static var signal: Int32? {
        let number = received.load(ordering: .relaxed)
        return number == 0 ? nil : number
    }
}
