import CoppiceRedis
import CoppiceShared
import CoppiceSystem

/// A connection on which each command brings along what is to be done with its reply.
///
/// Handlers are dropped with the dialogue: what a lost connection has not answered is never heard of again.
///
/// A server that has forgotten the scripts (SCRIPT FLUSH) is given them again, and what it refused for that is repeated: nothing of such
/// a command was done. Commands behind it that were refused, too, are repeated in their order.
final class RedisDialogue {
    typealias Handler = (RedisValue) -> Void

    let connection: RedisConnection
    private let scripts: [RedisScripts.Name]
    private var pending: [Int: Pending] = [:]
    private var lastLabel = 0
    /// The label of the newest command that gave the scripts again; what was sent before it needs no further one.
    private var lastReload = 0

    private struct Pending {
        var command: RedisCommand
        var isTolerant: Bool
        var isRepeated = false
        var handle: Handler
    }

    /// - Parameter scripts: those that are called by their digests; the owner loads them.
    init(_ connection: RedisConnection, scripts: [RedisScripts.Name] = []) {
        self.connection = connection
        self.scripts = scripts
    }

    /// Queues a command.
    ///
    /// - Parameters:
    ///   - tolerant: an error is for the handler; else it ends the session.
    func ask(_ command: RedisCommand, tolerant: Bool = false, _ handle: @escaping Handler = { _ in }) {
        ask(Pending(command: command, isTolerant: tolerant, handle: handle))
    }

    private func ask(_ question: Pending) {
        lastLabel += 1
        pending[lastLabel] = question
        connection.send(question.command, label: lastLabel, now: .now)
    }

    /// As `ask`, for a command after which messages come unasked: SUBSCRIBE or PSUBSCRIBE.
    func subscribe(_ channel: String, pattern: Bool = false) {
        lastLabel += 1
        let command = RedisCommand(pattern ? "PSUBSCRIBE" : "SUBSCRIBE", channel)
        pending[lastLabel] = Pending(command: command, isTolerant: false) { _ in }
        connection.subscribe(command, label: lastLabel, now: .now)
    }

    func flush() { connection.flush() }

    /// Hands a reply to its handler; returns the error that nobody tolerates.
    func answer(_ label: Int, _ value: RedisValue) -> String? {
        guard let question = pending.removeValue(forKey: label) else { return nil }
        if let error = value.error {
            if error.hasPrefix("NOSCRIPT"), !question.isRepeated {
                reload(for: label)
                var again = question
                again.isRepeated = true
                ask(again)
                flush()
                return nil
            }
            if !question.isTolerant { return error }
        }
        question.handle(value)
        return nil
    }

    private func reload(for label: Int) {
        guard label > lastReload else { return }
        for name in scripts { ask(RedisCommand("SCRIPT", "LOAD", RedisScripts.text(name))) }
        lastReload = lastLabel
    }
}
