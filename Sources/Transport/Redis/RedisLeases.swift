import CoppiceRedis
import CoppiceShared
import CoppiceSystem

/// Our lease and the others': counts ours on, renews what we hold, and recovers what dead incarnations left.
///
/// A lease is `<session>.<count>`. The session's number is higher than that of all earlier ones of its incarnation: an order that an
/// earlier one gave and that was delayed on its way finds a lease which is not its own, and does nothing. So it does when there is none.
final class RedisLeases {
    /// Seconds between two renewals.
    static let interval = 1.0
    /// How many nodes watch the leases of all. With one alone its own death would be noticed late.
    static let watchers = 3
    /// Seconds after which the place of a watcher that has not renewed its lease is another's.
    private static let watchPatience = 2.5
    /// Tags in one command of a recovery.
    private static let batch = 200

    private let keys: RedisKeys
    private let incarnation: Incarnation
    private let dialogue: RedisDialogue
    /// Gets `.recovered`, `.orphaned` and `.lost`.
    var report: (BrokerEvent) -> Void = { _ in }
    private var observer = LeaseObserver()
    /// Whether this node is one of those who watch.
    private(set) var isWatching = false
    /// Whose recovery is under way.
    private var recovering: Set<String> = []
    /// This session's number, as the lease has it.
    let session: String

    init(keys: RedisKeys, incarnation: Incarnation, dialogue: RedisDialogue) {
        self.keys = keys
        self.incarnation = incarnation
        self.dialogue = dialogue
        session = String(incarnation.reserve(1))
    }

    /// Whether something is on its way to this incarnation that it does not know of yet.
    var isRecovering: Bool { !recovering.isEmpty }

    /// Counts the lease on, renews what is held, and looks after the others.
    ///
    /// - Parameter done: is told which tags were not there to be renewed, and whether there was no lease before.
    func renew(_ held: Set<String>, then done: @escaping (_ gone: Set<String>, _ isNew: Bool) -> Void) {
        let asked = MonotonicTime.now
        var command = dialogue.command(.renew, keys: [keys.nodes, keys.unackedIndex, keys.started, keys.watchers])
        command.append(incarnation.id)
        command.append(session)
        command.append(RedisLeases.watchers)
        command.append(String(RedisLeases.watchPatience))
        command.append(contentsOf: held)
        dialogue.ask(command, for: "the lease's renewal", as: Renewal.init) { [unowned self] in
            isWatching = $0.leases != nil
            if let leases = $0.leases { observe(leases, asked: asked) }
            done($0.gone, $0.isNew)
        }
    }

    /// Gives the lease up.
    func release(then done: @escaping () -> Void) {
        dialogue.ask(RedisCommand("ZREM", keys.watchers, incarnation.id))
        dialogue.ask(RedisCommand("HDEL", keys.nodes, incarnation.id)) { _ in done() }
    }

    /// Puts back what this incarnation holds without knowing: the answer to a take, or to a recovery, was lost with its connection.
    ///
    /// - Parameter known: what it knows of.
    func reclaim(except known: Set<String>, then done: @escaping () -> Void) {
        // Whatever our own lease is.
        recover(LeaseObserver.Death(incarnation: incarnation.id, counter: "*"), except: known) { [unowned self] isComplete in
            if isComplete { done() } else { report(.lost("our lease ran out while we connected")) }
        }
    }

    /// Recovers what stands under incarnations that have no lease: what came in behind a burial, and what a recovery left behind.
    func recoverLeaseless(_ incarnations: some Sequence<String>) {
        let suspects = Set(incarnations).filter(Incarnation.isID)
        guard !suspects.isEmpty else { return }
        dialogue.call(.leaseless, keys: [keys.nodes], arguments: Array(suspects), as: \.array) { [unowned self] in
            for dead in $0.compactMap(\.text) { recover(LeaseObserver.Death(incarnation: dead, counter: "")) }
        }
        dialogue.flush()
    }

    /// The script's answer.
    private struct Renewal {
        var gone: Set<String>
        /// By incarnation; nil: not ours to watch.
        var leases: [String: String]?
        var isNew: Bool

        init?(_ value: RedisValue) {
            guard let parts = value.array, parts.count == 3, let gone = parts[0].array, let isNew = parts[2].integer else { return nil }
            self.gone = Set(gone.compactMap(\.text))
            self.isNew = isNew == 1
            guard parts[1] != .null else { return }
            guard let fields = parts[1].array else { return nil }
            var leases: [String: String] = [:]
            for index in stride(from: 0, to: fields.count - 1, by: 2) {
                // Any other member is nobody's lease.
                guard let id = fields[index].text, Incarnation.isID(id), let lease = fields[index + 1].text else { continue }
                leases[id] = lease
            }
            self.leases = leases
        }
    }

    private func observe(_ leases: [String: String], asked: MonotonicTime) {
        var counters = leases
        counters[incarnation.id] = nil
        for death in observer.look(counters, asked: asked, answered: .now) { recover(death) }
    }

    // MARK: recovery

    private func recover(_ death: LeaseObserver.Death) {
        guard recovering.insert(death.incarnation).inserted else { return }
        recover(death, except: []) { [unowned self] isComplete in
            if isComplete, !death.counter.isEmpty {
                dialogue.call(.bury, keys: [keys.nodes], arguments: [death.incarnation, death.counter])
            }
            recovering.remove(death.incarnation)
            dialogue.flush()
        }
    }

    /// What had not started goes back to the front of its queue; what had, acknowledged early, becomes ours to be concluded as lost.
    ///
    /// - Parameter done: is told whether it came to its end.
    private func recover(_ death: LeaseObserver.Death, except known: Set<String>, then done: @escaping (Bool) -> Void) {
        collectHeld(by: death.incarnation) { [unowned self] tags in
            // Pushed to the front one after the other, the oldest last, so that it is taken first.
            let ordered = tags.subtracting(known).sorted { RedisTag.sequence($0) > RedisTag.sequence($1) }
            restore(ordered[...], of: death) { [unowned self] in
                collectStarted(by: death.incarnation) { [unowned self] tags in
                    inherit(Array(tags.subtracting(known))[...], of: death, then: done)
                }
            }
        }
    }

    /// All tags of an incarnation in the index, piece by piece: nobody waits long for it.
    private func collectHeld(
        by incarnation: String, cursor: String = "0", found: Set<String> = [], then done: @escaping (Set<String>) -> Void
    ) {
        let command = RedisCommand("ZSCAN", keys.unackedIndex, cursor, "MATCH", "\(incarnation):*", "COUNT", "1000")
        dialogue.ask(command, for: "ZSCAN", as: RedisPage.init) { [unowned self] page in
            let found = found.union(stride(from: 0, to: page.items.count, by: 2).compactMap { page.items[$0].text })
            if page.isLast { done(found) } else { collectHeld(by: incarnation, cursor: page.next, found: found, then: done) }
        }
        dialogue.flush()
    }

    /// There are no more of these than tasks run.
    private func collectStarted(by incarnation: String, then done: @escaping (Set<String>) -> Void) {
        dialogue.ask(RedisCommand("HKEYS", keys.started), for: "HKEYS", as: \.array) {
            done(Set($0.compactMap(\.text).filter { RedisTag.incarnation($0) == incarnation }))
        }
        dialogue.flush()
    }

    private func restore(_ tags: ArraySlice<String>, of death: LeaseObserver.Death, then done: @escaping () -> Void) {
        guard !tags.isEmpty else { return done() }
        var arguments = [death.incarnation, death.counter, keys.prefix]
        for tag in tags.prefix(RedisLeases.batch) { arguments += [tag, keys.layout.suffix(step: step(tag))] }
        let places = [keys.nodes, keys.unacked, keys.unackedIndex]
        dialogue.call(.restore, keys: places, arguments: arguments, as: \.integer) { [unowned self] count in
            if count > 0 { report(.recovered(count)) }
            restore(tags.dropFirst(RedisLeases.batch), of: death, then: done)
        }
        dialogue.flush()
    }

    /// Its holder may have had other steps than are ours.
    private func step(_ tag: String) -> Int { keys.layout.step(ofPriority: Int(RedisTag.step(tag)) ?? 0) }

    private func inherit(_ tags: ArraySlice<String>, of death: LeaseObserver.Death, then done: @escaping (Bool) -> Void) {
        guard !tags.isEmpty else { return done(true) }
        let batch = tags.prefix(RedisLeases.batch)
        let first = incarnation.reserve(batch.count)
        var arguments = [death.incarnation, death.counter, incarnation.id, session]
        for (offset, tag) in batch.enumerated() {
            arguments.append(tag)
            arguments.append(RedisTag.make(incarnation, first + UInt64(offset), step: step(tag)))
        }
        let form: (RedisValue) -> [ReceivedMessage]?? = { $0 == .null ? .some(nil) : RedisLeases.inherited($0).map { .some($0) } }
        dialogue.call(.inherit, keys: [keys.nodes, keys.started], arguments: arguments, as: form) { [unowned self] messages in
            // Without a lease of ours they would be under nobody's.
            guard let messages else { return done(false) }
            if !messages.isEmpty { report(.orphaned(messages)) }
            inherit(tags.dropFirst(RedisLeases.batch), of: death, then: done)
        }
        dialogue.flush()
    }

    /// The tags and entries of the script's answer; nil if it is none.
    private static func inherited(_ answer: RedisValue) -> [ReceivedMessage]? {
        guard let parts = answer.array, parts.count.isMultiple(of: 2) else { return nil }
        var messages: [ReceivedMessage] = []
        for index in stride(from: 0, to: parts.count, by: 2) {
            guard let tag = parts[index].text, let entry = parts[index + 1].bytes else { return nil }
            let (raw, queue) = RedisTag.unwrap(entry)
            messages.append(ReceivedMessage(tag: DeliveryTag(tag), queue: queue, raw: raw))
        }
        return messages
    }
}
