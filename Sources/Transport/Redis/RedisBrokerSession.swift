import CoppiceRedis
import CoppiceShared
import CoppiceSystem

/// A master's session with a Redis broker: one connection for commands, one that listens, one for what it is as a member.
///
/// The doorbell: the command connection asks whether the lists exist with tracking on, and Redis tells the listening one when any of
/// them is written to. One bell for all queues and priorities, no polling, no connection a key (docs/ARCHITECTURE.md).
public final class RedisBrokerSession: BrokerSession {
    /// How long before its time a parked message is taken; a little more than the time between two looks.
    private static let horizon = 1.2
    /// Seconds between two looks where the doorbell is forbidden.
    private static let pollInterval = 0.1

    /// Commits in one script: Redis serves no other client meanwhile.
    private static let commitsInScript = 64

    private let joinsResults: Bool

    private let keys: RedisKeys
    private let encoding: CommitEncoding
    private let declarations: [QueueDeclaration]
    private let served: RedisServedLists
    private let incarnation: Incarnation
    private let commands: RedisDialogue
    private let listener: RedisListener
    private let member: RedisMember
    private let sweep: RedisSweep
    private let memory: RedisMemoryWatch

    private var events: [BrokerEvent] = []
    private var phase = Phase.connecting
    /// What has yet to be answered before the session stands.
    private var stepsLeft = 0
    private var hasDoorbell = true
    /// The queues in the order in which the next take visits them.
    private var rotation: [Int]
    private var nextPoll: MonotonicTime?
    /// Numbers of the commits that are under way; they are answered in their order.
    private var batches: [UInt64] = []

    private enum Phase { case connecting, preparing, standing, closing, over }

    /// - Parameters:
    ///   - results: where results are kept if that is on the same server; nil if they are kept elsewhere.
    ///   - queues: in the order of first service; none twice.
    ///   - holding: what this incarnation holds from earlier sessions.
    public init(
        _ url: RedisURL, results: RedisURL?, resultExpiry: Int, queues: [QueueDeclaration], node: String, incarnation: Incarnation,
        holding: [DeliveryTag], deadLetters: DeadLetterLimits = DeadLetterLimits()
    ) {
        keys = RedisKeys(url)
        joinsResults = results != nil
        encoding = CommitEncoding(
            keys: keys, database: url.database, results: results ?? url, resultExpiry: resultExpiry, deadLetters: deadLetters)
        declarations = queues
        served = RedisServedLists(queues, keys: keys, incarnation: incarnation)
        self.incarnation = incarnation
        let names = served.names
        rotation = keys.layout.order == .sorted ? names.indices.sorted { names[$0] < names[$1] } : Array(names.indices)
        // CLIENT SETNAME takes no spaces or control characters.
        let name = "coppice:" + String(String.UnicodeScalarView(node.unicodeScalars.filter { $0.value > 0x20 && $0.value < 0x7F }))
        commands = RedisDialogue(RedisConnection(url, clientName: name, now: .now))
        listener = RedisListener(url, clientName: name, keys: keys, fanouts: served.fanouts, commands: commands)
        member = RedisMember(url, clientName: name, incarnation: incarnation, held: Set(holding.map(\.value)))
        sweep = RedisSweep(url, keys: keys, dialogue: commands, member: member)
        memory = RedisMemoryWatch(member)
        member.report = { [unowned self] in
            if case .lost(let reason) = $0 { lose(reason) } else { events.append($0) }
        }
        drain()
    }

    public var leaseProven: MonotonicTime? { member.proven }

    public func takeEvents() -> [BrokerEvent] {
        defer { events.removeAll(keepingCapacity: true) }
        return events
    }

    // MARK: orders

    public func take(upTo count: Int) {
        guard phase == .standing, count > 0 else { return }
        let first = incarnation.reserve(count)
        let order = rotation
        var listed = [keys.unacked, keys.unackedIndex, keys.revoked, keys.nodes]
        for index in order { listed.append(keys.parked(served.queues[index])) }
        for step in keys.layout.steps {
            for index in order { listed.append(keys.list(served.names[index], step: step)) }
        }
        var command = commands.command(.take, keys: listed)
        command.append(count)
        command.append(incarnation.id)
        command.append(String(first))
        command.append(String(RedisBrokerSession.horizon))
        command.append(served.queues.count)
        command.append(keys.layout.steps.count)
        command.append(keys.layout.order == .roundRobin ? "" : "strict")
        for index in order { command.append(RedisTag.ending(served.queues[index])) }
        for step in keys.layout.steps { command.append(step) }
        command.append(member.session)
        let form: (RedisValue) -> [RedisValue]?? = { $0 == .null ? .some(nil) : $0.array }
        commands.ask(command, for: "the script 'take'", as: form) { [unowned self] in
            taken($0, asked: count, first: first, order: order)
        }
        if keys.layout.order == .roundRobin { rotation.append(rotation.removeFirst()) }
    }

    public func commit(_ commits: [Commit], as batch: UInt64) {
        guard phase == .standing, !commits.isEmpty else { return }
        batches.append(batch)
        // At once, not with the answer: the lease's connection may be told first that they are not there any more.
        for commit in commits where commit.step != .keep { member.held.remove(commit.tag.value) }
        var verdicts: [CommitVerdict] = []
        for start in stride(from: 0, to: commits.count, by: RedisBrokerSession.commitsInScript) {
            let part = commits[start..<min(start + RedisBrokerSession.commitsInScript, commits.count)]
            var script = RedisCommit(encoding.command(.commit, on: commands), keys: keys)
            for commit in part { script.append(commit) }
            commands.ask(script.command) { [unowned self] in
                guard let answer = CommitEncoding.verdicts($0, attempts: part.map(\.attempt)) else {
                    return lose("an answer to a commit that makes no sense")
                }
                verdicts += answer.verdicts
                if answer.freesBody { member.freedBody() }
                if part.endIndex == commits.count { events.append(.committed(batch: batches.removeFirst(), verdicts)) }
            }
        }
    }

    public func revoke(_ ids: [String]) {
        if phase == .standing { member.revoke(ids) }
    }

    public func reply(_ reply: ControlReply) {
        if phase == .standing { listener.reply(reply) }
    }

    public func flush() {
        commands.flush()
        drain()
    }

    public func close() {
        guard phase == .standing else { return lose("closed") }
        phase = .closing
        listener.leave { [unowned self] in
            member.leave { [unowned self] in lose("closed") }
        }
    }

    // MARK: Pollable

    private var dialogues: [RedisDialogue] { [listener.dialogue, member.dialogue, commands] }

    public var interests: [PollInterest] { dialogues.flatMap(\.interests) }

    public var deadline: MonotonicTime? {
        phase == .over ? nil : (dialogues.map(\.deadline) + [member.nextRenewal, nextPoll]).compactMap { $0 }.min()
    }

    public func ready(_ descriptor: Int32, _ happened: PollEvents, now: MonotonicTime) {
        for dialogue in dialogues { dialogue.ready(descriptor, happened, now: now) }
        drain()
    }

    public func expired(now: MonotonicTime) {
        for dialogue in dialogues { dialogue.expired(now: now) }
        if member.renewIfDue(now: now), phase == .standing {
            sweep.turn()
            memory.turn()
            listener.prove()
            // Parked messages may be due, and a bell may have been lost with its server's memory.
            events.append(.rang)
        }
        if let poll = nextPoll, poll <= now {
            nextPoll = now.advanced(by: RedisBrokerSession.pollInterval)
            if phase == .standing { events.append(.rang) }
        }
        drain()
    }

    private func drain() {
        for dialogue in dialogues where phase != .over {
            dialogue.settle { event in
                switch event {
                case .open: opened()
                case .pushed(let message): if let event = listener.event(of: message) { events.append(event) }
                case .lost(let reason): lose(reason)
                }
            }
        }
    }

    private func lose(_ reason: String) {
        guard phase != .over else { return }
        phase = .over
        commands.connection.giveUp()
        listener.dialogue.connection.close()
        member.dialogue.connection.close()
        events.append(.lost(reason))
    }

    // MARK: getting ready

    private func opened() {
        guard dialogues.allSatisfy(\.connection.isOpen), phase == .connecting else { return }
        guard dialogues.allSatisfy({ $0.connection.endpoint == commands.connection.endpoint }) else {
            return lose("the servers of the list changed places while we connected")
        }
        phase = .preparing
        stepsLeft = joinsResults ? 4 : 3
        listener.subscribe { [unowned self] in hang(bell: $0) }
        member.join(except: member.held) { [unowned self] in proved() }
        commands.load([.take, .commit, .probe] + RedisScripts.Name.sweep) { [unowned self] in
            proved()
            guard joinsResults else { return }
            encoding.probe(on: commands) { [unowned self] in
                if let refusal = $0 { lose(refusal) } else { proved() }
            }
            commands.flush()
        }
        for declaration in declarations {
            let binding = RedisBinding(declaration).member(keys.layout)
            commands.ask(RedisCommand("SADD", keys.binding(declaration.exchange), binding), tolerant: true)
            commands.ask(RedisCommand("SADD", keys.permanentBinding(declaration.exchange), binding), tolerant: true)
        }
        commands.flush()
    }

    private func hang(bell id: Int) {
        commands.ask(RedisCommand("CLIENT", "TRACKING", "ON", "REDIRECT", String(id), "OPTIN"), tolerant: true) { [unowned self] in
            if $0.error != nil {
                hasDoorbell = false
                let interval = RedisBrokerSession.pollInterval
                nextPoll = MonotonicTime.now.advanced(by: interval)
                events.append(.notice("CLIENT TRACKING is refused: looking for messages every \(interval) s instead of being told"))
            }
            proved()
        }
        commands.flush()
    }

    private func proved() {
        stepsLeft -= 1
        guard stepsLeft == 0, phase == .preparing else { return }
        phase = .standing
        events.append(.standing)
        sweep.turn()
    }

    // MARK: what comes in

    /// - Parameter parts: nil: our lease has run out. The next renewal makes a new one, tells what has gone meanwhile, and rings.
    private func taken(_ parts: [RedisValue]?, asked: Int, first: UInt64, order: [Int]) {
        guard let parts else { return events.append(.taken([])) }
        guard let newest = parts.first?.text else { return lose("an answer to the script 'take' that makes no sense") }
        // Somebody may have revoked since: first what, then what it may concern.
        member.learnRevocations(upTo: newest) { [unowned self] in received(parts, asked: asked, first: first, order: order) }
    }

    private func received(_ parts: [RedisValue], asked: Int, first: UInt64, order: [Int]) {
        var messages: [ReceivedMessage] = []
        var index = 1
        while index + 1 < parts.count {
            guard let list = parts[index].integer, let raw = parts[index + 1].bytes, list >= 1 else {
                return lose("an answer to the script 'take' that makes no sense")
            }
            let queue = served.queues[order[(list - 1) % served.queues.count]]
            let step = keys.layout.steps[min((list - 1) / served.queues.count, keys.layout.steps.count - 1)]
            let tag = RedisTag.make(incarnation, first + UInt64((index - 1) / 2), step: step)
            member.held.insert(tag)
            messages.append(ReceivedMessage(tag: DeliveryTag(tag), queue: queue, raw: raw))
            index += 2
        }
        events.append(.taken(messages))
        if messages.count < asked, hasDoorbell { arm() }
    }

    /// Asks to be told of the next message. What has come since the take is in the answer.
    private func arm() {
        commands.ask(RedisCommand("CLIENT", "CACHING", "YES"), tolerant: true)
        var command = RedisCommand("EXISTS")
        for step in keys.layout.steps { command.append(contentsOf: served.names.map { keys.list($0, step: step) }) }
        commands.ask(command, for: "EXISTS", as: \.integer) { [unowned self] in if $0 > 0 { events.append(.rang) } }
        commands.flush()
    }
}
