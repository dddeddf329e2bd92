import CoppiceShared
import CoppiceSystem

/// A connection over which everything is done: it publishes and declares, and its owner may use further channels. (A master has two.)
///
/// The owner passes on what a `Pollable` is asked, and is told of each event that is for neither the publisher nor the declarations.
public final class AMQPClientConnection: Pollable {
    public let connection: AMQPConnection
    public let publisher: AMQPPublisher
    public let declarations: AMQPRequestLine
    /// Numbers from here on are the owner's.
    public static let firstFreeChannel: UInt16 = 3

    private var handle: (AMQPEvent) -> Void = { _ in }
    private var isOver = false

    /// Begins to connect; `AMQPConnection` says what the parameters mean.
    public init(_ url: AMQPURL, clientName: String = "coppice-client", messageLimit: Int) {
        connection = AMQPConnection(url, clientName: clientName, messageLimit: messageLimit, now: .now)
        declarations = AMQPRequestLine(connection, channel: 2)
        publisher = AMQPPublisher(connection, channel: 1, declarations: declarations)
        publisher.onFailure = { [unowned self] in lose($0) }
    }

    /// From here on events are told to the owner: `.open`, when the declarations' channel is open as well, and `.lost`, last.
    public func tell(_ handle: @escaping (AMQPEvent) -> Void) {
        self.handle = handle
        drain(now: .now)
    }

    /// Ends at once, with this reason.
    public func lose(_ reason: String) {
        guard !isOver else { return }
        isOver = true
        connection.abandon()
        handle(.lost(reason))
    }

    /// Ends in order.
    public func close() {
        connection.close(now: .now)
        drain(now: .now)
    }

    public func flush() { connection.flush() }

    // MARK: Pollable

    public var interests: [PollInterest] { connection.interests }
    public var deadline: MonotonicTime? { [connection.deadline, publisher.deadline].compactMap { $0 }.min() }

    public func ready(_ descriptor: Int32, _ happened: PollEvents, now: MonotonicTime) {
        connection.ready(descriptor, happened, now: now)
        drain(now: now)
    }

    public func expired(now: MonotonicTime) {
        if let deadline = connection.deadline, deadline <= now { connection.expired(now: now) }
        if let deadline = publisher.deadline, deadline <= now { publisher.expired(now: now) }
        drain(now: now)
    }

    private func drain(now: MonotonicTime) {
        for event in connection.takeEvents() where !isOver {
            switch event {
            case .open:
                declarations.open(now: now)
                handle(event)
            case .lost(let reason): lose(reason)
            default: if !publisher.accept(event, now: now), !declarations.accept(event, now: now) { handle(event) }
            }
        }
        connection.flush()
    }
}
