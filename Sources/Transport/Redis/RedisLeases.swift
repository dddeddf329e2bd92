import CoppiceRedis
import CoppiceShared
import CoppiceSystem

/// Our lease and the others': counts ours on, renews what we hold, and recovers what dead incarnations left.
final class RedisLeases {
    /// Seconds between two renewals.
    static let interval = 1.0
    /// Tags in one command of a recovery.
    private static let batch = 200

    private let keys: RedisKeys
    private let incarnation: Incarnation
    private let dialogue: RedisDialogue
    private let digest: (RedisScripts.Name) -> String
    private let report: (BrokerEvent) -> Void
    private let gone: (Set<String>) -> Void
    private var observer = LeaseObserver()
    /// As `BrokerSession.leaseProven` has it.
    private(set) var proven: MonotonicTime?
    /// Whether the last renewal made a lease that was not there.
    private(set) var isNew = false

    /// - Parameters:
    ///   - digest: the loaded scripts' digests.
    ///   - gone: told, with each renewal, what was not there to be renewed.
    init(
        keys: RedisKeys, incarnation: Incarnation, dialogue: RedisDialogue, digest: @escaping (RedisScripts.Name) -> String,
        gone: @escaping (Set<String>) -> Void, report: @escaping (BrokerEvent) -> Void
    ) {
        self.keys = keys
        self.incarnation = incarnation
        self.dialogue = dialogue
        self.digest = digest
        self.gone = gone
        self.report = report
    }

    /// Counts the lease on, renews what is held, and looks after the others.
    func renew(_ held: Set<String>, then done: @escaping () -> Void = {}) {
        let asked = MonotonicTime.now
        var command = RedisCommand("EVALSHA", digest(.renew), "3", keys.nodes, keys.unackedIndex, keys.started, incarnation.id)
        command.append(contentsOf: held)
        dialogue.ask(command) { [unowned self] answer in
            guard let parts = answer.array, parts.count == 2 else { return }
            proven = asked
            gone(Set((parts[0].array ?? []).compactMap(\.text)))
            observe(parts[1], asked: asked)
            done()
        }
    }

    /// Gives the lease up.
    func release(then done: @escaping () -> Void) {
        dialogue.ask(RedisCommand("HDEL", keys.nodes, incarnation.id)) { _ in done() }
    }

    /// Puts back what this incarnation holds without knowing: the answer to a take, or to a recovery, was lost with its connection.
    ///
    /// - Parameter known: what it knows of.
    func reclaim(except known: Set<String>, then done: @escaping () -> Void) {
        collect(keys.unacked, of: incarnation.id) { [unowned self] tags in
            restore(tags.filter { !known.contains($0) }, of: LeaseObserver.Death(incarnation: incarnation.id, counter: ""))
            collect(keys.started, of: incarnation.id) { [unowned self] tags in
                inherit(tags.filter { !known.contains($0) }, of: LeaseObserver.Death(incarnation: incarnation.id, counter: ""))
                done()
            }
        }
    }

    private func observe(_ value: RedisValue, asked: MonotonicTime) {
        let parts = (value.array ?? []).compactMap(\.text)
        var counters: [String: String] = [:]
        for index in stride(from: 0, to: parts.count - 1, by: 2) { counters[parts[index]] = parts[index + 1] }
        isNew = counters.removeValue(forKey: incarnation.id) == "1"
        for death in observer.look(counters, asked: asked, answered: .now) { recover(death) }
    }

    /// What had not started goes back to the front of its queue; what had, acknowledged early, becomes ours to be concluded as lost.
    private func recover(_ death: LeaseObserver.Death) {
        collect(keys.unacked, of: death.incarnation) { [unowned self] tags in
            restore(tags, of: death)
            collect(keys.started, of: death.incarnation) { [unowned self] tags in
                inherit(tags, of: death)
                dialogue.ask(RedisCommand("EVALSHA", digest(.bury), "1", keys.nodes, death.incarnation, death.counter))
                dialogue.flush()
            }
        }
    }

    /// All tags of an incarnation in a hash, piece by piece: nobody waits long for it.
    private func collect(
        _ key: String, of incarnation: String, cursor: String = "0", found: Set<String> = [], then done: @escaping (Set<String>) -> Void
    ) {
        dialogue.ask(RedisCommand("HSCAN", key, cursor, "MATCH", "\(incarnation):*", "COUNT", "1000")) { [unowned self] value in
            guard let parts = value.array, parts.count == 2, let next = parts[0].text, let fields = parts[1].array else { return }
            let tags = stride(from: 0, to: fields.count, by: 2).compactMap { fields[$0].text }
            if next == "0" {
                done(found.union(tags))
            } else {
                collect(key, of: incarnation, cursor: next, found: found.union(tags), then: done)
            }
        }
        dialogue.flush()
    }

    private func restore(_ tags: Set<String>, of death: LeaseObserver.Death) {
        guard !tags.isEmpty else { return }
        // Pushed to the front one after the other, the oldest last, so that it is taken first.
        let ordered = tags.sorted { RedisTag.sequence($0) > RedisTag.sequence($1) }
        for start in stride(from: 0, to: ordered.count, by: RedisLeases.batch) {
            var command = RedisCommand("EVALSHA", digest(.restore), "3", keys.nodes, keys.unacked, keys.unackedIndex)
            command.append(contentsOf: [death.incarnation, death.counter, RedisKeys.separator, keys.prefix])
            command.append(contentsOf: ordered[start..<min(start + RedisLeases.batch, ordered.count)])
            dialogue.ask(command) { [unowned self] value in
                if let count = value.integer, count > 0 { report(.recovered(count)) }
            }
        }
    }

    private func inherit(_ tags: Set<String>, of death: LeaseObserver.Death) {
        let all = Array(tags)
        for start in stride(from: 0, to: all.count, by: RedisLeases.batch) {
            let batch = all[start..<min(start + RedisLeases.batch, all.count)]
            let first = incarnation.reserve(batch.count)
            var command = RedisCommand(
                "EVALSHA", digest(.inherit), "2", keys.nodes, keys.started, death.incarnation, death.counter)
            for (offset, tag) in batch.enumerated() {
                command.append(tag)
                command.append(RedisTag.make(incarnation, first + UInt64(offset), step: RedisTag.step(tag)))
            }
            dialogue.ask(command) { [unowned self] value in inherited(value.array ?? []) }
        }
    }

    private func inherited(_ parts: [RedisValue]) {
        var messages: [ReceivedMessage] = []
        for index in stride(from: 0, to: parts.count - 1, by: 2) {
            guard let tag = parts[index].text, let entry = parts[index + 1].bytes, let (raw, queue) = Envelope.unwrap(entry) else {
                continue
            }
            messages.append(ReceivedMessage(tag: DeliveryTag(tag), queue: queue, raw: raw))
        }
        if !messages.isEmpty { report(.orphaned(messages)) }
    }
}
