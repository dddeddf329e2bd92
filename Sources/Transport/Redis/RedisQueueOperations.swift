import CoppiceRedis
import CoppiceShared
import CoppiceSystem

/// Queue operations on kombu's lists, on what nodes of either kind hold in `unacked`, and on our parked sets and dead letters.
public final class RedisQueueOperations: QueueOperations {
    static let batch = 500
    /// Bounds of a look at everything: keys that are walked for queues' names, and held messages that are counted. Beyond the second the
    /// number of unacknowledged messages is not told.
    private static let mostSteps = 2000
    private static let mostHeld = 1_000_000

    let keys: RedisKeys
    private let dialogue: RedisDialogue
    var events: [QueueEvent] = []
    /// Records of dead letters that have been read, as they stand there; they never change.
    var deadRecords: [String: [UInt8]] = [:]
    private var isOver = false

    public init(_ url: RedisURL) {
        keys = RedisKeys(url)
        dialogue = RedisDialogue(RedisConnection(url, clientName: "coppice-client", now: .now))
        drain()
    }

    public func takeEvents() -> [QueueEvent] {
        defer { events.removeAll() }
        return events
    }

    // MARK: looking

    public func survey(_ names: [String]?) {
        if let names { return look(at: names) }
        findQueues { [unowned self] in look(at: $0) }
    }

    /// Every queue that is bound to an exchange, but those of the remote control and of events.
    private func findQueues(_ done: @escaping ([String]) -> Void) {
        let prefix = keys.binding("")
        scan(pattern: Self.glob(prefix) + "*") { [unowned self] found in
            let exchanges = found.filter { !$0.hasSuffix(".pidbox") && !$0.hasPrefix(prefix + "celeryev") }
            var names: Set<String> = []
            var left = exchanges.count
            if left == 0 { done([]) }
            for exchange in exchanges {
                ask(RedisCommand("SMEMBERS", exchange), tolerant: true) { [unowned self] in
                    for member in $0.array ?? [] {
                        guard let binding = member.text.flatMap({ RedisBinding(member: $0, keys.layout) }) else { continue }
                        names.insert(binding.queue)
                    }
                    left -= 1
                    if left == 0 { done(names.sorted()) }
                }
            }
        }
    }

    /// A pattern that fits this text alone.
    private static func glob(_ text: String) -> String {
        text.map { "\\*?[]".contains($0) ? "\\\($0)" : "\($0)" }.joined()
    }

    private func scan(pattern: String, _ found: @escaping (Set<String>) -> Void) {
        var matches: Set<String> = []
        func step(_ cursor: String, _ number: Int) {
            ask(RedisCommand("SCAN", cursor, "MATCH", pattern, "COUNT", "1000"), for: "SCAN", as: RedisPage.init) {
                matches.formUnion($0.items.compactMap(\.text))
                if $0.isLast || number == Self.mostSteps { found(matches) } else { step($0.next, number + 1) }
            }
        }
        step("0", 1)
    }

    private func look(at names: [String]) {
        countHeld { [unowned self] held in
            var states: [QueueState] = []
            let now = WallTime.now
            if names.isEmpty { events.append(.queues([])) }
            for name in names {
                var command = RedisCommand("EVAL", RedisQueueScripts.survey)
                command.append(keys.layout.steps.count + 1)
                command.append(contentsOf: keys.lists(name))
                command.append(keys.parked(name))
                command.append(RedisQueueScripts.longestNext)
                ask(command, for: "a survey", as: Survey.init) { [unowned self] in
                    states.append(
                        QueueState(
                            name: name, waiting: $0.waiting, unacknowledged: held.map { $0[name] ?? 0 }, parked: $0.parked,
                            oldest: MessageAge.seconds(of: $0.next, now: now)))
                    if states.count == names.count { events.append(.queues(states)) }
                }
            }
        }
    }

    /// The script's answer about a queue.
    private struct Survey {
        let waiting: Int
        let parked: Int
        let next: [UInt8]

        init?(_ value: RedisValue) {
            guard let parts = value.array, parts.count == 3, let waiting = parts[0].integer, let parked = parts[1].integer,
                let next = parts[2].bytes
            else { return nil }
            self.waiting = waiting
            self.parked = parked
            self.next = next
        }
    }

    /// Two numbers, as some scripts answer.
    private static func pair(_ value: RedisValue) -> (Int, Int)? {
        guard let parts = value.array, parts.count == 2, let first = parts[0].integer, let second = parts[1].integer else { return nil }
        return (first, second)
    }

    /// How many messages of each queue are held; nil where there are too many to count.
    private func countHeld(_ counted: @escaping ([String: Int]?) -> Void) {
        var counts: [String: Int] = [:]
        // A walk over a set that changes may show a tag twice.
        var seen: Set<String> = []
        func page(_ cursor: String) {
            let command = RedisCommand(
                "EVAL", RedisQueueScripts.held, "2", keys.unacked, keys.unackedIndex, cursor, String(Self.batch))
            ask(command, for: "a look at what is held", as: \.array) {
                let parts = $0
                let next = parts.first?.text ?? "0"
                for index in stride(from: 1, to: parts.count - 1, by: 2) {
                    guard let tag = parts[index].text, let queue = parts[index + 1].text else { continue }
                    if seen.insert(tag).inserted { counts[queue, default: 0] += 1 }
                }
                if next == "0" { counted(counts) } else if seen.count > Self.mostHeld { counted(nil) } else { page(next) }
            }
        }
        page("0")
    }

    // MARK: changing

    public func purge(_ queue: String) {
        var command = RedisCommand("EVAL", RedisQueueScripts.purge)
        command.append(keys.layout.steps.count)
        command.append(contentsOf: keys.lists(queue))
        ask(command, for: "a purge", as: \.integer) { [unowned self] waiting in
            purgeParked(queue) { [unowned self] in events.append(.purged(waiting: waiting, parked: $0)) }
        }
    }

    private func purgeParked(_ queue: String, count: Int = 0, _ done: @escaping (Int) -> Void) {
        let command = RedisCommand(
            "EVAL", RedisQueueScripts.purgeParked, "3", keys.parked(queue), keys.unacked, keys.unackedIndex,
            String(Self.batch))
        ask(command, for: "a purge", as: Self.pair) { [unowned self] names, messages in
            let total = count + messages
            if names == Self.batch { purgeParked(queue, count: total, done) } else { done(total) }
        }
    }

    public func move(from: String, to: String, upTo count: Int) {
        bind(to)
        var command = RedisCommand("EVAL", RedisQueueScripts.move)
        command.append(2 * keys.layout.steps.count)
        command.append(contentsOf: keys.lists(from) + keys.lists(to))
        command.append(min(count, Self.batch))
        command.append(RedisQueueScripts.batchBytes)
        ask(command, for: "a move", as: \.integer) { [unowned self] moved in
            if moved > 0 { events.append(.moved(moved)) } else { moveParked(from, to, count) }
        }
    }

    private func moveParked(_ from: String, _ to: String, _ count: Int) {
        let command = RedisCommand(
            "EVAL", RedisQueueScripts.moveParked, "3", keys.parked(from), keys.parked(to), keys.unacked,
            String(min(count, Self.batch)), String(RedisQueueScripts.batchBytes), RedisTag.ending(from), RedisTag.ending(to))
        ask(command, for: "a move", as: Self.pair) { [unowned self] moved, stale in
            // What led nowhere stood before the rest.
            if moved == 0, stale > 0 { return moveParked(from, to, count) }
            events.append(.moved(moved))
        }
    }

    /// Makes a queue known, as clients and workers find it.
    func bind(_ queue: String) {
        ask(RedisCommand("SADD", keys.binding(queue), RedisBinding(QueueDeclaration(queue)).member(keys.layout)), tolerant: true)
    }

    // MARK: Pollable

    public var interests: [PollInterest] { dialogue.interests }
    public var deadline: MonotonicTime? { dialogue.deadline }

    public func ready(_ descriptor: Int32, _ happened: PollEvents, now: MonotonicTime) {
        dialogue.ready(descriptor, happened, now: now)
        drain()
    }

    public func expired(now: MonotonicTime) {
        dialogue.expired(now: now)
        drain()
    }

    func ask(_ command: RedisCommand, tolerant: Bool = false, _ handle: @escaping RedisDialogue.Handler = { _ in }) {
        dialogue.ask(command, tolerant: tolerant, handle)
        dialogue.flush()
    }

    func ask<Answer>(
        _ command: RedisCommand, for what: String, as form: @escaping (RedisValue) -> Answer?, _ handle: @escaping (Answer) -> Void
    ) {
        dialogue.ask(command, for: what, as: form, handle)
        dialogue.flush()
    }

    private func drain() {
        dialogue.settle { event in
            switch event {
            case .open: events.append(.standing)
            case .pushed: break
            case .lost(let reason): lose(reason)
            }
        }
    }

    private func lose(_ reason: String) {
        guard !isOver else { return }
        isOver = true
        dialogue.connection.close()
        events.append(.lost(reason))
    }
}
