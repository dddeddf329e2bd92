import CoppiceRedis
import CoppiceShared
import CoppiceSystem

/// A master's session with a Redis broker: one connection for commands, one that listens, one for what it is as a member.
///
/// The doorbell: the command connection looks at what is empty with tracking on, and Redis tells the listening one which of it is written
/// to. No polling, no connection a key, and a take asks only where something may be (`RedisDoorbell`, docs/ARCHITECTURE.md).
public final class RedisBrokerSession: BrokerSession {
    /// Seconds between two looks where the doorbell is forbidden.
    private static let pollInterval = 0.1

    /// Commits in one script: Redis serves no other client meanwhile.
    private static let commitsInScript = 64

    private let keys: RedisKeys
    private let encoding: CommitEncoding
    private let declarations: [QueueDeclaration]
    private let served: RedisServedLists
    private let incarnation: Incarnation
    private let commands: RedisDialogue
    private let listener: RedisListener
    private let member: RedisMember
    private let rights: RedisRights
    private let sweep: RedisSweep
    private let memory: RedisMemoryWatch

    private var events: [BrokerEvent] = []
    private var phase = Phase.connecting
    /// What has yet to be answered before the session stands.
    private var stepsLeft = 0
    private var doorbell: RedisDoorbell
    private var hasDoorbell = true
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
        encoding = CommitEncoding(
            keys: keys, database: url.database, results: results ?? url, resultExpiry: resultExpiry, deadLetters: deadLetters)
        declarations = queues
        served = RedisServedLists(queues, keys: keys, incarnation: incarnation)
        self.incarnation = incarnation
        doorbell = RedisDoorbell(served, isStrict: keys.layout.order != .roundRobin)
        rights = RedisRights(keys, places: served.places, results: results, database: url.database)
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
        let places = doorbell.choose(upTo: count)
        guard !places.isEmpty else { return events.append(.taken([])) }
        let sets = places.filter { $0 >= served.lists }
        let first = incarnation.reserve(count)
        var command = commands.command(
            .take, keys: [keys.unacked, keys.unackedIndex, keys.revoked, keys.nodes] + places.map { served.places[$0].key })
        command.append(count)
        command.append(TakeLimit.bytes)
        command.append(incarnation.id)
        command.append(member.session)
        command.append(String(first))
        command.append(String(RedisDoorbell.horizon))
        command.append(keys.layout.order == .roundRobin ? "" : "strict")
        command.append(keys.layout.steps.map(String.init).joined(separator: " "))
        command.append(sets.count)
        for place in places {
            if let step = served.places[place].step { command.append(step) }
            command.append(RedisTag.ending(served.places[place].queue))
        }
        let form: (RedisValue) -> [RedisValue]?? = { $0 == .null ? .some(nil) : $0.array.map { .some($0) } }
        commands.ask(command, for: "the script 'take'", as: form) { [unowned self] in
            taken($0, asked: places, count: count, first: first)
        }
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
            doorbell.turn(now: now, hearsBells: hasDoorbell)
            // Lists among them only if everything was written while the session was getting ready.
            look(at: doorbell.listsToLook() + doorbell.setsToLook())
            // A bell may have been lost with its server's memory.
            if hasDoorbell { lookAround() }
            ringIfReady()
        }
        if let poll = nextPoll, poll <= now {
            nextPoll = now.advanced(by: RedisBrokerSession.pollInterval)
            if phase == .standing { lookAround() }
        }
        drain()
    }

    private func drain() {
        for dialogue in dialogues where phase != .over {
            dialogue.settle { event in
                switch event {
                case .open: opened()
                case .pushed(let message): for news in listener.read(message) { hear(news) }
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
        commands.load([.rights, .take, .look, .commit] + RedisScripts.Name.sweep) { [unowned self] in
            rights.probe(on: commands) { [unowned self] in
                if let refusal = $0 { lose(refusal) } else { join() }
            }
        }
        commands.flush()
    }

    private func join() {
        stepsLeft = 2
        listener.subscribe { [unowned self] in hang(bell: $0) }
        member.join(except: member.held) { [unowned self] in proved() }
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
            // From here on every place has a bell, or is known to hold something.
            look(at: doorbell.listsToLook() + doorbell.setsToLook()) { [unowned self] in proved() }
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
    private func taken(_ parts: [RedisValue]?, asked: [Int], count: Int, first: UInt64) {
        guard let parts else {
            doorbell.notAsked(asked)
            return events.append(.taken([]))
        }
        guard parts.count >= 2, let newest = parts[0].text, let more = parts[1].bytes, more.count == asked.count else {
            return lose("an answer to the script 'take' that makes no sense")
        }
        doorbell.asked(asked, hasMore: more.map { $0 == UInt8(ascii: "1") })
        look(at: doorbell.listsToLook())
        // Somebody may have revoked since: first what, then what it may concern.
        member.learnRevocations(upTo: newest) { [unowned self] in received(parts.dropFirst(2), from: asked, count: count, first: first) }
    }

    private func received(_ parts: ArraySlice<RedisValue>, from asked: [Int], count: Int, first: UInt64) {
        var messages: [ReceivedMessage] = []
        for start in stride(from: parts.startIndex, to: parts.endIndex - 2, by: 3) {
            guard let place = parts[start].integer, asked.indices.contains(place - 1), let step = parts[start + 1].text,
                let raw = parts[start + 2].bytes
            else { return lose("an answer to the script 'take' that makes no sense") }
            let tag = RedisTag.make(incarnation, first + UInt64(messages.count), step: step)
            member.held.insert(tag)
            messages.append(ReceivedMessage(tag: DeliveryTag(tag), queue: served.places[asked[place - 1]].queue, raw: raw))
        }
        events.append(.taken(messages))
        if messages.count < count { ringIfReady() }
    }

    private func hear(_ news: RedisListener.News) {
        switch news {
        case .event(let event): events.append(event)
        case .bell(let key?):
            doorbell.ring(key)
            ringIfReady()
        case .bell(nil):
            doorbell.ringAll()
            if phase == .standing { look(at: doorbell.listsToLook() + doorbell.setsToLook()) }
        }
    }

    private func ringIfReady() {
        if phase == .standing, doorbell.hasReady { events.append(.rang) }
    }

    /// Looks whether something is there, and asks to be told of what comes from then on.
    private func look(at places: [Int], then done: @escaping () -> Void = {}) {
        guard !places.isEmpty else { return done() }
        let parts = stride(from: 0, to: places.count, by: RedisDoorbell.batch).map {
            // The script wants lists first.
            Array(places[$0..<min($0 + RedisDoorbell.batch, places.count)]).sorted()
        }
        for (index, part) in parts.enumerated() {
            if hasDoorbell { commands.ask(RedisCommand("CLIENT", "CACHING", "YES"), tolerant: true) }
            let lists = part.count { $0 < served.lists }
            let keys = part.map { served.places[$0].key }
            commands.call(.look, keys: keys, arguments: [String(lists)], as: \.array) { [unowned self] answer in
                var found: [Int: Double] = [:]
                for at in stride(from: 0, to: answer.count - 1, by: 2) {
                    guard let number = answer[at].integer, part.indices.contains(number - 1) else { continue }
                    found[part[number - 1]] = answer[at + 1].text.flatMap { Double($0) } ?? 0
                }
                doorbell.looked(at: part, found: found, now: .now)
                ringIfReady()
                if index == parts.count - 1 { done() }
            }
        }
        commands.flush()
    }

    /// Looks whether some of the places that are thought empty are.
    private func lookAround() {
        let places = doorbell.round()
        guard !places.isEmpty else { return }
        var command = RedisCommand("EXISTS")
        command.append(contentsOf: places.map { served.places[$0].key })
        commands.ask(command, for: "EXISTS", as: \.integer) { [unowned self] in
            guard $0 > 0 else { return }
            doorbell.missed(places)
            look(at: doorbell.listsToLook() + doorbell.setsToLook())
        }
        commands.flush()
    }
}
