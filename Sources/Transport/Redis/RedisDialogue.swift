import CoppiceRedis
import CoppiceShared
import CoppiceSystem

/// A connection on which each command brings along what is to be done with its reply.
///
/// Handlers are dropped with the dialogue: what a lost connection has not answered is never heard of again.
final class RedisDialogue {
    typealias Handler = (RedisValue) -> Void

    let connection: RedisConnection
    private var handlers: [Int: (handle: Handler, isTolerant: Bool)] = [:]
    private var lastLabel = 0

    init(_ connection: RedisConnection) { self.connection = connection }

    /// Queues a command.
    ///
    /// - Parameters:
    ///   - tolerant: an error is for the handler; else it ends the session.
    func ask(_ command: RedisCommand, tolerant: Bool = false, _ handle: @escaping Handler = { _ in }) {
        lastLabel += 1
        handlers[lastLabel] = (handle, tolerant)
        connection.send(command, label: lastLabel, now: .now)
    }

    /// As `ask`, for a command after which messages come unasked.
    func subscribe(_ channel: String) {
        lastLabel += 1
        handlers[lastLabel] = ({ _ in }, false)
        connection.subscribe(RedisCommand("SUBSCRIBE", channel), label: lastLabel, now: .now)
    }

    func flush() { connection.flush() }

    /// Hands a reply to its handler; returns the error that nobody tolerates.
    func answer(_ label: Int, _ value: RedisValue) -> String? {
        guard let handler = handlers.removeValue(forKey: label) else { return nil }
        if let error = value.error, !handler.isTolerant { return error }
        handler.handle(value)
        return nil
    }
}
