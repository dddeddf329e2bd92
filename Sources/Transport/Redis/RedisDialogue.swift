import CoppiceRedis
import CoppiceShared
import CoppiceSystem

/// A connection on which each command brings along what is to be done with its reply, and scripts are called by their names.
///
/// Handlers are dropped with the dialogue: what a lost connection has not answered is never heard of again. A server that has forgotten the
/// scripts ends it as any error does: what was asked for over the next connection comes in order again.
final class RedisDialogue {
    typealias Handler = (RedisValue) -> Void

    /// What is not the answer to a command.
    enum Event {
        case open
        /// A message of a subscription.
        case pushed(RedisValue)
        /// The connection is lost, or a command met an error that nobody tolerates.
        case lost(String)
    }

    let connection: RedisConnection
    private var digests: [RedisScripts.Name: String] = [:]
    /// `handle` returns what is wrong with the answer.
    private var pending: [Int: (isTolerant: Bool, handle: (RedisValue) -> String?)] = [:]
    private var lastLabel = 0

    init(_ connection: RedisConnection) { self.connection = connection }

    /// Queues a command.
    ///
    /// - Parameters:
    ///   - tolerant: an error is for the handler; else it ends the session.
    func ask(_ command: RedisCommand, tolerant: Bool = false, _ handle: @escaping Handler = { _ in }) {
        lastLabel += 1
        pending[lastLabel] = (
            tolerant,
            {
                handle($0)
                return nil
            }
        )
        connection.send(command, label: lastLabel, now: .now)
    }

    /// Queues a command whose answer must have a form; another one ends the session, as an error does. To be waited for in silence it would
    /// hold up what comes behind it for ever.
    ///
    /// - Parameters:
    ///   - what: names the command in the line that tells of it.
    ///   - form: nil for an answer that makes no sense.
    func ask<Answer>(
        _ command: RedisCommand, for what: String, as form: @escaping (RedisValue) -> Answer?, _ handle: @escaping (Answer) -> Void
    ) {
        lastLabel += 1
        pending[lastLabel] = (
            false,
            {
                guard let answer = form($0) else { return "an answer to \(what) that makes no sense" }
                handle(answer)
                return nil
            }
        )
        connection.send(command, label: lastLabel, now: .now)
    }

    /// As `ask`, for a command after which messages come unasked: SUBSCRIBE or PSUBSCRIBE.
    func subscribe(_ channel: String, pattern: Bool = false) {
        lastLabel += 1
        pending[lastLabel] = (false, { _ in nil })
        connection.subscribe(RedisCommand(pattern ? "PSUBSCRIBE" : "SUBSCRIBE", channel), label: lastLabel, now: .now)
    }

    /// Gives the server the scripts that will be called.
    func load(_ names: [RedisScripts.Name], then done: @escaping () -> Void) {
        var left = names.count
        for name in names {
            ask(RedisCommand("SCRIPT", "LOAD", RedisScripts.text(name)), for: "SCRIPT LOAD", as: \.text) { [unowned self] in
                digests[name] = $0
                left -= 1
                if left == 0 { done() }
            }
        }
    }

    /// The beginning of a script's call, for who has many arguments to append before it is asked.
    func command(_ name: RedisScripts.Name, keys: [String]) -> RedisCommand {
        var command = RedisCommand("EVALSHA", digests[name] ?? "")
        command.append(keys.count)
        command.append(contentsOf: keys)
        return command
    }

    /// Calls a script that has been loaded, of whose answer no more is wanted than that it is no error.
    func call(_ name: RedisScripts.Name, keys: [String], arguments: [String]) {
        call(name, keys: keys, arguments: arguments, as: { $0 }) { _ in }
    }

    func call<Answer>(
        _ name: RedisScripts.Name, keys: [String], arguments: [String], as form: @escaping (RedisValue) -> Answer?,
        _ handle: @escaping (Answer) -> Void
    ) {
        var command = command(name, keys: keys)
        command.append(contentsOf: arguments)
        ask(command, for: "the script '\(name)'", as: form, handle)
    }

    func flush() { connection.flush() }

    /// Hands replies to their handlers, and everything else to the owner, in order.
    func settle(_ handle: (Event) -> Void) {
        var events = connection.takeEvents()
        while !events.isEmpty {
            for event in events {
                switch event {
                case .open: handle(.open)
                case .reply(RedisConnection.pushLabel, let message): handle(.pushed(message))
                case .reply(let label, let value): answer(label, value, handle)
                case .lost(let reason): handle(.lost(reason))
                }
            }
            // A handler's flush may have found the connection lost.
            events = connection.takeEvents()
        }
    }

    private func answer(_ label: Int, _ value: RedisValue, _ handle: (Event) -> Void) {
        guard let question = pending.removeValue(forKey: label) else { return }
        if let error = value.error, !question.isTolerant {
            // What else has been answered is not listened to.
            pending = [:]
            handle(.lost(RedisFault.explain(error)))
        } else if let complaint = question.handle(value) {
            pending = [:]
            handle(.lost(complaint))
        }
    }

    // MARK: for its owner's `Pollable`

    var interests: [PollInterest] { connection.interests }
    var deadline: MonotonicTime? { connection.deadline }

    func ready(_ descriptor: Int32, _ happened: PollEvents, now: MonotonicTime) {
        guard connection.interests.contains(where: { $0.descriptor == descriptor }) else { return }
        connection.ready(descriptor, happened, now: now)
    }

    func expired(now: MonotonicTime) {
        if let deadline = connection.deadline, deadline <= now { connection.expired(now: now) }
    }
}
