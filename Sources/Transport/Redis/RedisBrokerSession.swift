import CoppiceRedis
import CoppiceShared
import CoppiceSystem

/// A master's session with a Redis broker: one connection for commands, one that listens.
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

    public let joinsResults: Bool

    private let url: RedisURL
    private let keys: RedisKeys
    /// Where results are kept: this server's, whatever `joinsResults` says.
    private let results: RedisURL
    private let resultExpiry: Int
    private let declarations: [QueueDeclaration]
    private let served: RedisServedLists
    private let incarnation: Incarnation
    private let deadLetters: DeadLetterLimits
    /// Whether an earlier session of this incarnation may have been told things that it did not pass on.
    private let isSuccessor: Bool
    private let commands: RedisDialogue
    private let listener: RedisDialogue
    private var leases: RedisLeases?
    private var sweep: RedisSweep?
    private var memory: RedisMemoryWatch?
    private var line: RedisCommitLine?

    private var events: [BrokerEvent] = []
    private var phase = Phase.connecting
    private var clientID: Int?
    private var hasDoorbell = true
    private var digests: [RedisScripts.Name: String] = [:]
    private var held: Set<String>
    /// The queues in the order in which the next take visits them.
    private var rotation: [Int]
    private var nextRenewal = MonotonicTime.distantFuture
    private var nextPoll: MonotonicTime?
    /// The mark of the newest revocation that was reported.
    private var lastRevocation = ""
    private var fullDeadPlace = FullDeadPlace()
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
        let now = MonotonicTime.now
        self.url = url
        keys = RedisKeys(url)
        joinsResults = results != nil
        self.results = results ?? url
        self.resultExpiry = resultExpiry
        declarations = queues
        served = RedisServedLists(queues, keys: keys, incarnation: incarnation)
        self.incarnation = incarnation
        self.deadLetters = deadLetters
        isSuccessor = !incarnation.isFresh
        held = Set(holding.map(\.value))
        rotation = Array(served.names.indices)
        // CLIENT SETNAME takes no spaces or control characters.
        let name = "coppice:" + String(String.UnicodeScalarView(node.unicodeScalars.filter { $0.value > 0x20 && $0.value < 0x7F }))
        commands = RedisDialogue(RedisConnection(url, clientName: name, now: now), scripts: RedisScripts.Name.broker)
        listener = RedisDialogue(RedisConnection(url, clientName: name, now: now))
        leases = RedisLeases(
            keys: keys, incarnation: incarnation, dialogue: commands, digest: { [unowned self] in digests[$0] ?? "" },
            gone: { [unowned self] in lost($0) }, report: { [unowned self] in events.append($0) })
        sweep = RedisSweep(
            url, keys: keys, dialogue: commands, digest: { [unowned self] in digests[$0] ?? "" },
            report: { [unowned self] in events.append($0) })
        memory = RedisMemoryWatch(dialogue: commands, report: { [unowned self] in events.append($0) })
        line = RedisCommitLine(
            keys: keys, serving: queues, dialogue: commands, carryOut: { [unowned self] in carryOut($0, $1) },
            report: { [unowned self] in events.append($0) })
        drain(now: now)
    }

    public var leaseProven: MonotonicTime? { leases?.proven }

    public func takeEvents() -> [BrokerEvent] {
        defer { events.removeAll(keepingCapacity: true) }
        return events
    }

    // MARK: orders

    public func take(upTo count: Int) {
        guard phase == .standing, count > 0 else { return }
        let first = incarnation.reserve(count)
        let order = rotation
        var command = RedisCommand("EVALSHA", digests[.take] ?? "")
        command.append(3 + served.queues.count * (1 + RedisKeys.steps.count))
        command.append(keys.unacked)
        command.append(keys.unackedIndex)
        command.append(keys.revoked)
        for index in order { command.append(keys.parked(served.queues[index])) }
        for step in RedisKeys.steps {
            for index in order { command.append(keys.list(served.names[index], step: step)) }
        }
        command.append(count)
        command.append(incarnation.id + ":")
        command.append(String(first))
        command.append(String(RedisBrokerSession.horizon))
        command.append(served.queues.count)
        for index in order { command.append(RedisTag.ending(served.queues[index])) }
        for step in RedisKeys.steps { command.append(step) }
        commands.ask(command) { [unowned self] in taken($0.array ?? [], asked: count, first: first, order: order) }
        rotation.append(rotation.removeFirst())
    }

    public func commit(_ commits: [Commit], as batch: UInt64) {
        guard phase == .standing, !commits.isEmpty else { return }
        batches.append(batch)
        line?.append(commits)
    }

    private func carryOut(_ commits: [Commit], _ routes: RedisRoutes) {
        var verdicts: [CommitVerdict] = []
        for start in stride(from: 0, to: commits.count, by: RedisBrokerSession.commitsInScript) {
            let part = commits[start..<min(start + RedisBrokerSession.commitsInScript, commits.count)]
            var script = RedisCommit(
                digest: digests[.commit] ?? "", keys: keys, routes: routes, results: results, resultExpiry: resultExpiry,
                database: url.database,
                deadLetters: deadLetters)
            for commit in part { script.append(commit) }
            commands.ask(script.command) { [unowned self] in
                guard let answer = RedisEffects.verdicts($0, attempts: part.map(\.attempt)) else {
                    return lose("an answer to a commit that makes no sense")
                }
                verdicts += answer.verdicts
                if answer.freesBody, let text = fullDeadPlace.notice() { events.append(.notice(text)) }
                if part.endIndex == commits.count { committed(commits, verdicts) }
            }
        }
    }

    public func revoke(_ ids: [String]) {
        guard phase == .standing, !ids.isEmpty else { return }
        commands.ask(RedisRevocations.store(ids, keys))
    }

    public func reply(_ reply: ControlReply) {
        guard phase == .standing else { return }
        // A caller that is gone, or a key that we may not read, is none of our business.
        commands.ask(RedisCommand("SMEMBERS", keys.binding(reply.exchange)), tolerant: true) { [unowned self] in
            send(reply, to: $0.array ?? [])
        }
    }

    public func flush() {
        commands.flush()
        drain(now: .now)
    }

    public func close() {
        guard phase == .standing, let leases else {
            lose("closed")
            return
        }
        phase = .closing
        for list in served.fanouts.values { commands.ask(RedisCommand("DEL", keys.list(list)), tolerant: true) }
        leases.release { [unowned self] in lose("closed") }
        commands.flush()
    }

    // MARK: Pollable

    public var interests: [PollInterest] { commands.connection.interests + listener.connection.interests }

    public var deadline: MonotonicTime? {
        let own = phase == .standing ? [nextRenewal, nextPoll].compactMap { $0 }.min() : nil
        return [commands.connection.deadline, listener.connection.deadline, own].compactMap { $0 }.min()
    }

    public func ready(_ descriptor: Int32, _ happened: PollEvents, now: MonotonicTime) {
        for connection in [commands.connection, listener.connection]
        where connection.interests.contains(where: { $0.descriptor == descriptor }) {
            connection.ready(descriptor, happened, now: now)
        }
        drain(now: now)
    }

    public func expired(now: MonotonicTime) {
        for connection in [commands.connection, listener.connection] {
            if let deadline = connection.deadline, deadline <= now { connection.expired(now: now) }
        }
        if phase == .standing {
            if nextRenewal <= now { renew(now: now) }
            if let poll = nextPoll, poll <= now {
                nextPoll = now.advanced(by: RedisBrokerSession.pollInterval)
                events.append(.rang)
            }
        }
        drain(now: now)
    }

    private func drain(now: MonotonicTime) {
        for dialogue in [listener, commands] {
            for event in dialogue.connection.takeEvents() {
                switch event {
                case .open: opened()
                case .reply(RedisConnection.pushLabel, let message): pushed(message)
                case .reply(let label, let value): if let error = dialogue.answer(label, value) { lose(RedisFault.explain(error)) }
                case .lost(let reason): lose(reason)
                }
            }
        }
    }

    private func lose(_ reason: String) {
        guard phase != .over else { return }
        phase = .over
        commands.connection.giveUp()
        listener.connection.close()
        events.append(.lost(reason))
    }

    // MARK: getting ready

    private func opened() {
        guard commands.connection.isOpen, listener.connection.isOpen, phase == .connecting else { return }
        guard commands.connection.endpoint == listener.connection.endpoint else {
            lose("the servers of the list changed places while we connected")
            return
        }
        phase = .preparing
        listener.ask(RedisCommand("CLIENT", "ID")) { [unowned self] in
            clientID = $0.integer
            prove()
        }
        for channel in [RedisKeys.invalidations, keys.controlChannel] { listener.subscribe(channel) }
        for pattern in served.fanouts.keys { listener.subscribe(pattern, pattern: true) }
        listener.flush()
        // INFO may be forbidden; nothing depends on it.
        commands.ask(RedisCommand("INFO"), tolerant: true) { [unowned self] in inspect($0.text ?? "") }
        for name in RedisScripts.Name.broker {
            commands.ask(RedisCommand("SCRIPT", "LOAD", RedisScripts.text(name))) { [unowned self] in
                digests[name] = $0.text
                prove()
            }
        }
        for declaration in declarations {
            let member = RedisBinding(declaration).member
            commands.ask(RedisCommand("SADD", keys.binding(declaration.exchange), member), tolerant: true)
            commands.ask(RedisCommand("SADD", keys.permanentBinding(declaration.exchange), member), tolerant: true)
        }
        commands.flush()
    }

    private func inspect(_ info: String) {
        let facts = RedisServerFacts(info: info)
        if let refusal = facts.refusal { lose(refusal) }
        if let warning = facts.warning { events.append(.notice(warning)) }
    }

    /// The last steps, when everything else has been answered: the doorbell, our lease, and what an earlier session left behind.
    private func prove() {
        guard let clientID, digests.count == RedisScripts.Name.broker.count, phase == .preparing else { return }
        commands.ask(RedisCommand("CLIENT", "TRACKING", "ON", "REDIRECT", String(clientID), "OPTIN"), tolerant: true) { [unowned self] in
            guard $0.error != nil else { return }
            hasDoorbell = false
            nextPoll = MonotonicTime.now.advanced(by: RedisBrokerSession.pollInterval)
            let interval = RedisBrokerSession.pollInterval
            events.append(.notice("CLIENT TRACKING is refused: looking for messages every \(interval) s instead of being told"))
        }
        leases?.renew(held) { [unowned self] in
            if isSuccessor {
                leases?.reclaim(except: held) { [unowned self] in learnRevocations { [unowned self] in stand() } }
            } else {
                learnRevocations { [unowned self] in stand() }
            }
        }
        commands.flush()
    }

    private func stand() {
        guard phase == .preparing else { return }
        phase = .standing
        nextRenewal = MonotonicTime.now.advanced(by: RedisLeases.interval)
        events.append(.standing)
        sweep?.turn()
        commands.flush()
    }

    // MARK: what comes in

    private func taken(_ parts: [RedisValue], asked: Int, first: UInt64, order: [Int]) {
        guard let newest = parts.first?.text, newest.isEmpty || newest == lastRevocation else {
            // Somebody has revoked since: first what, then what it may concern.
            learnRevocations { [unowned self] in received(parts, asked: asked, first: first, order: order) }
            return
        }
        received(parts, asked: asked, first: first, order: order)
    }

    /// Reports what has been revoked since the last time.
    private func learnRevocations(then done: @escaping () -> Void) {
        commands.ask(RedisRevocations.fetch(after: lastRevocation, keys)) { [unowned self] in
            let found = RedisRevocations.read($0)
            if let newest = found.newest {
                lastRevocation = newest
                events.append(.revoked(found.ids))
            }
            done()
        }
        commands.flush()
    }

    private func received(_ parts: [RedisValue], asked: Int, first: UInt64, order: [Int]) {
        var messages: [ReceivedMessage] = []
        var index = 1
        while index + 1 < parts.count {
            guard let list = parts[index].integer, let raw = parts[index + 1].bytes, list >= 1 else { break }
            let queue = served.queues[order[(list - 1) % served.queues.count]]
            let step = RedisKeys.steps[min((list - 1) / served.queues.count, RedisKeys.steps.count - 1)]
            let tag = RedisTag.make(incarnation, first + UInt64((index - 1) / 2), step: step)
            held.insert(tag)
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
        for step in RedisKeys.steps { command.append(contentsOf: served.names.map { keys.list($0, step: step) }) }
        commands.ask(command) { [unowned self] in if ($0.integer ?? 0) > 0 { events.append(.rang) } }
        commands.flush()
    }

    /// Others have these by now. What has been settled since the question was asked is not among them.
    private func lost(_ tags: Set<String>) {
        let gone = tags.intersection(held)
        guard !gone.isEmpty else { return }
        held.subtract(gone)
        events.append(.gone(gone.map { DeliveryTag($0) }))
    }

    private func committed(_ commits: [Commit], _ verdicts: [CommitVerdict]) {
        for commit in commits where commit.step != .keep { held.remove(commit.tag.value) }
        events.append(.committed(batch: batches.removeFirst(), verdicts))
    }

    private func pushed(_ message: RedisValue) {
        guard let parts = message.array, parts.count >= 3, let channel = parts[1].text else { return }
        if parts.count == 4 {
            // Of a pattern; the channel comes after it.
            if let list = served.fanouts[channel], let raw = parts[3].bytes { broadcast(raw, into: list) }
            return
        }
        if channel == RedisKeys.invalidations {
            if phase == .standing { events.append(.rang) }
        } else if let raw = parts[2].bytes, let body = Envelope.controlBody(raw) {
            events.append(.control(body))
        }
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

    private func send(_ reply: ControlReply, to bindings: [RedisValue]) {
        let separator = RedisKeys.separator
        for binding in bindings.compactMap(\.text) {
            // routing key, separator, pattern, separator, queue
            guard binding.hasPrefix(reply.routingKey + separator), let last = binding.ranges(of: separator).last else { continue }
            let queue = String(binding[last.upperBound...])
            let list = keys.list(queue)
            var push = RedisCommand("LPUSH", list)
            push.append(Envelope.write(reply))
            commands.ask(push, tolerant: true)
            // Nobody reads it any more if the caller has given up.
            commands.ask(RedisCommand("EXPIRE", list, "10"), tolerant: true)
        }
        commands.flush()
    }

    private func renew(now: MonotonicTime) {
        nextRenewal = now.advanced(by: RedisLeases.interval)
        leases?.renew(held)
        sweep?.turn()
        memory?.turn()
        listener.ask(RedisCommand("PING"))
        commands.flush()
        listener.flush()
        // Parked messages may be due, and a bell may have been lost with its server's memory.
        events.append(.rang)
    }
}
