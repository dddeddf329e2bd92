import CoppiceRedis
import CoppiceShared

/// Puts back what dead Python workers left: kombu's rule, entries older than the visibility time-out, one sweeper at a time by kombu's own
/// mutex (celery-wire §2.7). Entries of ours follow the lease rule (`RedisLeases`): those that are overdue, and so have not been renewed for
/// long, are left to it. Parked ones are passed by. What is held and stands in no index is entered there first.
///
/// Between the reading of an entry and its putting back it may be settled, or put back by another: the script that moves it looks again,
/// and moves it as a whole or not at all.
final class RedisSweep {
    /// Renewals of the lease between two sweeps, a second each. kombu looks about every hundred seconds.
    private static let rhythm = 10
    /// Entries that are looked at in one sweep.
    private static let page = 500
    /// kombu's `unacked_mutex_expire`, in milliseconds.
    private static let mutexExpiry = "300000"

    private let keys: RedisKeys
    private let timeout: String
    private let dialogue: RedisDialogue
    private let member: RedisMember

    private var turns = 0
    private var isSweeping = false
    /// Entries at the index' front that are not ours to put back: the next sweep begins behind them, and again at the front after the last.
    private var passed = 0
    /// Foreign entries that can't be put back: said once.
    private var unreadable: Set<String> = []
    private var hasNoticed = false

    /// - Parameter dialogue: not the member's, since messages pass over it.
    init(_ url: RedisURL, keys: RedisKeys, dialogue: RedisDialogue, member: RedisMember) {
        self.keys = keys
        timeout = String(url.visibilityTimeout)
        self.member = member
        self.dialogue = dialogue
    }

    /// To be called when the session stands, and then with each renewal of the lease.
    func turn() {
        defer { turns += 1 }
        guard turns.isMultiple(of: RedisSweep.rhythm), !isSweeping else { return }
        isSweeping = true
        dialogue.call(.reindex, keys: [keys.unacked, keys.unackedIndex, keys.nodes], arguments: [], as: \.integer) { [unowned self] count in
            guard count > 0 else { return }
            member.report(
                .notice(
                    "\(count) held message(s) had no place in '\(keys.unackedIndex)', where their holder's death is noticed: they have it now"
                ))
        }
        let arguments = [timeout, String(passed), String(RedisSweep.page)]
        dialogue.call(.overdue, keys: [keys.unackedIndex], arguments: arguments, as: \.array) { [unowned self] in
            let tags = $0.compactMap(\.text)
            member.recoverLeaseless(tags)
            let foreign = tags.filter { !RedisTag.isOurs($0) && !unreadable.contains($0) }
            if foreign.isEmpty {
                passed = tags.count < RedisSweep.page ? 0 : passed + tags.count
                isSweeping = false
            } else {
                passed = 0
                lock(then: foreign)
            }
        }
        dialogue.flush()
    }

    private func lock(then tags: [String]) {
        let token = Incarnation.randomID()
        let command = RedisCommand("SET", keys.unackedMutex, token, "NX", "PX", RedisSweep.mutexExpiry)
        dialogue.ask(command, tolerant: true) { [unowned self] in
            // Somebody else is at it, or the server has no memory for the key.
            guard $0.text == "OK" else { return isSweeping = false }
            rescue(tags[...], token: token, count: 0)
        }
        dialogue.flush()
    }

    /// One after the other, since each is a whole message on its way to us and back; the newest first, so that the oldest comes to
    /// stand in front.
    private func rescue(_ tags: ArraySlice<String>, token: String, count: Int) {
        guard let tag = tags.last else {
            dialogue.call(.unlock, keys: [keys.unackedMutex], arguments: [token])
            isSweeping = false
            if count > 0 { member.report(.recovered(count)) }
            // There may be more: on with the next renewal.
            if count >= RedisSweep.page / 2 { turns = 0 }
            dialogue.flush()
            return
        }
        let rest = tags.dropLast()
        dialogue.ask(RedisCommand("HGET", keys.unacked, tag)) { [unowned self] in
            guard let entry = $0.bytes else {
                // A place in the index without a message.
                move(tag, entry: [], to: [], as: []) { [unowned self] _ in rescue(rest, token: token, count: count) }
                return
            }
            guard let held = Envelope.takeApart(entry), let message = Envelope.redelivered(held.message) else {
                leave(tag, "it can't be read")
                rescue(rest, token: token, count: count)
                return
            }
            route(held.exchange, held.routingKey, priority: message.priority) { [unowned self] lists in
                guard !lists.isEmpty else {
                    leave(tag, "no queue is bound to its exchange '\(held.exchange)' with the key '\(held.routingKey)'")
                    rescue(rest, token: token, count: count)
                    return
                }
                move(tag, entry: entry, to: lists, as: message.message) { [unowned self] in
                    rescue(rest, token: token, count: count + $0)
                }
            }
        }
        dialogue.flush()
    }

    /// The lists that a message of this exchange goes back to: all that its key leads to, since kombu does not tell from which it came.
    private func route(_ exchange: String, _ routingKey: String, priority: Int, then done: @escaping ([String]) -> Void) {
        var routes = RedisRoutes(keys)
        guard !exchange.isEmpty else { return done([keys.list(routingKey, priority: priority)]) }
        // A key of another kind leads nowhere.
        dialogue.ask(RedisCommand("SMEMBERS", keys.binding(exchange)), tolerant: true) { [keys] in
            routes.learn(exchange, $0.array ?? [])
            done(routes.queues(of: exchange, routingKey: routingKey).map { keys.list($0, priority: priority) })
        }
        dialogue.flush()
    }

    private func move(_ tag: String, entry: [UInt8], to lists: [String], as message: [UInt8], then done: @escaping (Int) -> Void) {
        var command = dialogue.command(.rescue, keys: [keys.unacked, keys.unackedIndex] + lists)
        command.append(timeout)
        command.append(tag)
        command.append(entry)
        command.append(message)
        dialogue.ask(command, for: "the script 'rescue'", as: \.integer) { done($0) }
        dialogue.flush()
    }

    /// It stays where it is.
    private func leave(_ tag: String, _ why: String) {
        // Bounded: past it they are looked at again and again, which harms nobody.
        if unreadable.count < 10_000 { unreadable.insert(tag) }
        guard !hasNoticed else { return }
        hasNoticed = true
        member.report(
            .notice("a message that a Python worker left in '\(keys.unacked)' can't be put back and stays there (tag \(tag)): \(why)"))
    }
}
