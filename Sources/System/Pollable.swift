import CoppiceShared
import Synchronization

/// Something that waits for descriptors and deadlines, without knowing what does the waiting: sd-event in the master, poll(2) in
/// the client and in tests.
///
/// The owner asks for `interests` and `deadline` after every call, calls `ready` for a descriptor on which something happened, and
/// `expired` when the deadline is reached. Neither blocks.
public protocol Pollable: AnyObject {
    /// The descriptors to watch, and for what. Empty: nothing to watch now.
    var interests: [PollInterest] { get }
    /// When `expired` is to be called, whatever the descriptors do.
    var deadline: MonotonicTime? { get }
    func ready(_ descriptor: Int32, _ events: PollEvents, now: MonotonicTime)
    func expired(now: MonotonicTime)
}

/// One descriptor and what to watch it for.
public struct PollInterest: Equatable, Sendable {
    public var descriptor: Int32
    public var events: PollEvents
    /// Tells a descriptor from an earlier one that had the same number: another serial means another descriptor.
    public var serial: Int

    public init(descriptor: Int32, events: PollEvents, serial: Int = 0) {
        self.descriptor = descriptor
        self.events = events
        self.serial = serial
    }

    private static let lastSerial = Atomic(0)

    /// A serial that no descriptor of this process had before.
    public static func newSerial() -> Int { lastSerial.wrappingAdd(1, ordering: .relaxed).newValue }
}

public struct PollEvents: OptionSet, Sendable {
    public let rawValue: UInt8
    public init(rawValue: UInt8) { self.rawValue = rawValue }

    public static let read = PollEvents(rawValue: 1)
    public static let write = PollEvents(rawValue: 2)
    /// Error or hang-up; reported without being asked for.
    public static let hangup = PollEvents(rawValue: 4)
}
