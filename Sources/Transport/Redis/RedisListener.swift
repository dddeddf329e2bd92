import CoppiceRedis
import CoppiceShared

/// A session's ear: the connection on which the bell rings, control requests arrive, and fanout exchanges send what is for all. What it
/// has to write goes over the connection for commands: a connection with subscriptions takes few others.
final class RedisListener {
    let dialogue: RedisDialogue
    private let commands: RedisDialogue
    private let keys: RedisKeys
    /// As in `RedisServedLists`.
    private let fanouts: [String: String]

    /// The meaning of a message.
    enum News {
        /// This key has been written to; nil: any of them may have been.
        case bell(key: String?)
        case event(BrokerEvent)
    }

    init(_ url: RedisURL, clientName: String, keys: RedisKeys, fanouts: [String: String], commands: RedisDialogue) {
        self.commands = commands
        self.keys = keys
        self.fanouts = fanouts
        dialogue = RedisDialogue(RedisConnection(url, clientName: clientName, now: .now))
    }

    /// - Parameter done: is told the connection's id, by which the bell finds it.
    func subscribe(then done: @escaping (_ id: Int) -> Void) {
        dialogue.ask(RedisCommand("CLIENT", "ID"), for: "CLIENT ID", as: \.integer) { done($0) }
        for channel in [RedisKeys.invalidations, keys.controlChannel] { dialogue.subscribe(channel) }
        for pattern in fanouts.keys { dialogue.subscribe(pattern, pattern: true) }
        dialogue.flush()
    }

    /// Whether it is heard at all.
    func prove() {
        dialogue.ask(RedisCommand("PING"))
        dialogue.flush()
    }

    /// The meaning of a message to a master.
    func read(_ message: RedisValue) -> [News] {
        guard let parts = message.array, parts.count >= 3, let channel = parts[1].text else { return [] }
        if parts.count == 4 {
            // Of a pattern; the channel comes after it.
            if let list = fanouts[channel], let raw = parts[3].bytes { broadcast(raw, into: list) }
            return []
        }
        // The array is null when the server has dropped all keys, or its memory of who was to be told.
        if channel == RedisKeys.invalidations { return parts[2].array.map { $0.map { .bell(key: $0.text) } } ?? [.bell(key: nil)] }
        return parts[2].bytes.flatMap(Envelope.controlBody).map { [.event(.control($0))] } ?? []
    }

    /// What a fanout exchange has sent waits in a list of our own, from which it is taken as any other message: nobody held it before.
    private func broadcast(_ raw: [UInt8], into list: String) {
        let key = keys.list(list)
        var push = RedisCommand("LPUSH", key)
        push.append(raw)
        commands.ask(push, tolerant: true)
        commands.ask(RedisCommand("LTRIM", key, "0", String(RedisKeys.fanoutLimit - 1)), tolerant: true)
        commands.ask(RedisCommand("EXPIRE", key, RedisKeys.fanoutLifetime), tolerant: true)
        commands.flush()
    }

    /// Drops the lists of our own.
    func leave(then done: @escaping () -> Void) {
        guard !fanouts.isEmpty else { return done() }
        var command = RedisCommand("DEL")
        command.append(contentsOf: fanouts.values.map { keys.list($0) })
        commands.ask(command, tolerant: true) { _ in done() }
        commands.flush()
    }

    /// Answers a control request, if it asked for an answer to a mailbox. A caller that is gone, or a key that we may not read, is none of our
    /// business.
    func reply(_ reply: ControlReply) {
        commands.ask(RedisCommand("SMEMBERS", keys.binding(reply.exchange)), tolerant: true) { [unowned self] in
            for binding in ($0.array ?? []).compactMap({ $0.text.flatMap { RedisBinding(member: $0, keys.layout) } }) {
                // What the request names may be anything, a queue of tasks, too.
                if binding.routingKey == reply.routingKey, binding.queue.hasSuffix(".pidbox") { send(reply, to: binding.queue) }
            }
        }
    }

    private func send(_ reply: ControlReply, to queue: String) {
        var push = RedisCommand("LPUSH", keys.list(queue))
        push.append(Envelope.write(reply))
        commands.ask(push, tolerant: true)
        // Nobody reads it any more if the caller has given up.
        commands.ask(RedisCommand("EXPIRE", keys.list(queue), "10"), tolerant: true)
        commands.flush()
    }
}
