import CoppiceRedis
import CoppiceShared
import CoppiceSystem

/// A master's session with a Redis broker: one connection for commands, one that listens.
///
/// The doorbell: the command connection asks whether the lists exist with tracking on, and Redis tells the listening one when any of
/// them is written to. One bell for all queues and priorities, no polling, no connection a key (docs/WIRE_COMPATIBILITY.md).
public final class RedisBrokerSession: BrokerSession {
    /// Seconds between two renewals of what is held.
    static let renewInterval = 1.0
    /// How long before its time a parked message is taken; a little more than the time between two looks.
    static let horizon = 1.2
    /// Seconds between two looks where the doorbell is forbidden.
    static let pollInterval = 0.1
    /// Tags in one command of a recovery.
    private static let recoveryBatch = 200

    public let joinsResults: Bool

    private let url: RedisURL
    private let resultDatabase: Int
    private let resultExpiry: Int
    private let queues: [String]
    private let incarnation: Incarnation
    private let commands: RedisConnection
    private let listener: RedisConnection

    private var events: [BrokerEvent] = []
    private var phase = Phase.connecting
    private var clientID: Int?
    private var hasDoorbell = true
    private var digests: [Script: String] = [:]
    /// Labels of commands map to what their replies mean.
    private var expectations: [Int: Expectation] = [:]
    private var lastLabel = 10
    private var held: Set<String>
    /// The queues in the order in which the next take visits them.
    private var rotation: [Int]
    private var nextRenewal: MonotonicTime
    private var nextPoll: MonotonicTime?
    private var observer = LeaseObserver()

    private enum Phase { case connecting, preparing, standing, closing, over }
    private enum Script: String, CaseIterable { case take, commit, renew, restore, inherit, bury }

    private enum Expectation {
        case clientID, subscribed, loaded(Script), tracking, info, ignored, proof
        case taken(asked: Int, first: UInt64, order: [Int])
        case armed
        case committed([Commit])
        case leases(asked: MonotonicTime)
        case held(dead: LeaseObserver.Death, cursor: String, found: [String], started: Bool)
        case restored
        case inherited
        case bindings(ControlReply)
        case closed
    }

    /// - Parameters:
    ///   - results: the database where results are kept if that is on the same server; nil if they are kept elsewhere.
    ///   - queues: in the order of first service; none twice.
    ///   - holding: what this incarnation holds from earlier sessions.
    public init(
        _ url: RedisURL, results: Int?, resultExpiry: Int, queues: [String], node: String, incarnation: Incarnation, holding: [DeliveryTag]
    ) {
        let now = MonotonicTime.now
        self.url = url
        joinsResults = results != nil
        resultDatabase = results ?? url.database
        self.resultExpiry = resultExpiry
        self.queues = queues
        self.incarnation = incarnation
        held = Set(holding.map(\.value))
        rotation = Array(queues.indices)
        nextRenewal = now
        // CLIENT SETNAME takes no spaces or control characters.
        let name = "coppice:" + String(String.UnicodeScalarView(node.unicodeScalars.filter { $0.value > 0x20 && $0.value < 0x7F }))
        commands = RedisConnection(url, clientName: name, now: now)
        listener = RedisConnection(url, clientName: name, now: now)
        drain(now: now)
    }

    public func takeEvents() -> [BrokerEvent] {
        defer { events.removeAll(keepingCapacity: true) }
        return events
    }

    // MARK: orders

    public func take(upTo count: Int) {
        guard phase == .standing, count > 0 else { return }
        let first = incarnation.reserve(count)
        var command = RedisCommand("EVALSHA", digests[.take] ?? "")
        command.append(2 + queues.count * (1 + RedisKeys.steps.count))
        command.append(RedisKeys.unacked)
        command.append(RedisKeys.unackedIndex)
        for index in rotation { command.append(RedisKeys.parked(queues[index])) }
        for step in RedisKeys.steps {
            for index in rotation { command.append(RedisKeys.list(queues[index], step: step)) }
        }
        command.append(count)
        command.append(incarnation.id + ":")
        command.append(String(first))
        command.append(String(RedisBrokerSession.horizon))
        command.append(queues.count)
        for index in rotation { command.append(ending(queues[index])) }
        for step in RedisKeys.steps { command.append(step) }
        send(command, .taken(asked: count, first: first, order: rotation))
        rotation.append(rotation.removeFirst())
    }

    public func commit(_ commits: [Commit]) {
        guard phase == .standing, !commits.isEmpty else { return }
        var command = RedisCommand("EVALSHA", digests[.commit] ?? "", "5", RedisKeys.unacked, RedisKeys.unackedIndex, RedisKeys.started)
        command.append(RedisKeys.dead)
        command.append(RedisKeys.deadMessages)
        command.append(resultExpiry)
        command.append(RedisKeys.resultPrefix)
        command.append(resultDatabase)
        command.append(url.database)
        command.append(RedisKeys.deadRecordLimit)
        command.append(RedisKeys.deadMessageLimit)
        for commit in commits { append(commit, to: &command) }
        send(command, .committed(commits))
    }

    public func flush() {
        commands.flush()
        drain(now: .now)
    }

    public func reply(_ reply: ControlReply) {
        guard phase == .standing else { return }
        send(RedisCommand("SMEMBERS", RedisKeys.binding(reply.exchange)), .bindings(reply))
        commands.flush()
    }

    public func close() {
        guard phase == .standing else {
            lose("closed")
            return
        }
        phase = .closing
        send(RedisCommand("HDEL", RedisKeys.nodes, incarnation.id), .closed)
        commands.flush()
    }

    /// What stands behind a message in `unacked`. Queue names with quotes or backslashes are refused before they get here.
    private func ending(_ queue: String) -> String { ",\"\",\"\(queue)\"]" }

    private func append(_ commit: Commit, to command: inout RedisCommand) {
        switch commit.step {
        case .startLate, .keep: command.append("K")
        case .startEarly: command.append("E")
        case .conclude: command.append("C")
        case .putBack(let front): command.append(front ? "F" : "B")
        case .park: command.append("P")
        case .setAside: command.append("D")
        }
        command.append(commit.tag.value)
        command.append(commit.writes.count)
        for write in commit.writes {
            command.append(write.taskID)
            command.append(write.reach == .announce ? "A" : write.state == .success ? "S" : "O")
            command.append(write.record)
        }
        command.append(commit.publications.count)
        for publication in commit.publications {
            command.append(RedisKeys.list(publication.routingKey, step: RedisKeys.step(ofPriority: publication.priority)))
            command.append(Envelope.write(publication, deliveryTag: Incarnation.randomUUID()))
        }
        switch commit.step {
        case .startLate, .keep, .startEarly, .conclude: break
        case .putBack:
            command.append(ending(commit.queue).utf8.count)
            command.append(RedisKeys.list(commit.queue, step: Int(stepText(commit.tag)) ?? 0))
        case .park(let until):
            command.append(String(until.seconds))
            command.append("parked-\(Incarnation.randomID()):\(stepText(commit.tag))")
            command.append(RedisKeys.parked(commit.queue))
        case .setAside(let reason, let taskID):
            let record = DeadLetterRecord(id: Incarnation.randomID(), reason: reason, queue: commit.queue, taskID: taskID, at: .now)
            command.append(record.id)
            command.append(record.encoded)
            command.append(ending(commit.queue).utf8.count)
        }
    }

    /// The priority step at a tag's end.
    private func stepText(_ tag: DeliveryTag) -> Substring { tag.value.split(separator: ":").last ?? "0" }

    private func send(_ command: RedisCommand, _ expectation: Expectation, on connection: RedisConnection? = nil) {
        lastLabel += 1
        expectations[lastLabel] = expectation
        (connection ?? commands).send(command, label: lastLabel, now: .now)
    }

    // MARK: Pollable

    public var interests: [PollInterest] { commands.interests + listener.interests }

    public var deadline: MonotonicTime? {
        let own = phase == .standing ? [nextRenewal, nextPoll].compactMap { $0 }.min() : nil
        return [commands.deadline, listener.deadline, own].compactMap { $0 }.min()
    }

    public func ready(_ descriptor: Int32, _ happened: PollEvents, now: MonotonicTime) {
        for connection in [commands, listener] where connection.interests.contains(where: { $0.descriptor == descriptor }) {
            connection.ready(descriptor, happened, now: now)
        }
        drain(now: now)
    }

    public func expired(now: MonotonicTime) {
        for connection in [commands, listener] {
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
        for connection in [listener, commands] {
            for event in connection.takeEvents() {
                switch event {
                case .open: opened(now: now)
                case .reply(RedisConnection.pushLabel, let message): pushed(message)
                case .reply(let label, let value):
                    if let expectation = expectations.removeValue(forKey: label) { accept(expectation, value, now: now) }
                case .lost(let reason): lose(reason)
                }
            }
        }
    }

    private func lose(_ reason: String) {
        guard phase != .over else { return }
        phase = .over
        commands.close()
        listener.close()
        events.append(.lost(reason))
    }

    // MARK: getting ready

    private func opened(now: MonotonicTime) {
        guard commands.isOpen, listener.isOpen, phase == .connecting else { return }
        phase = .preparing
        send(RedisCommand("CLIENT", "ID"), .clientID, on: listener)
        for channel in [RedisKeys.invalidations, RedisKeys.controlChannel(database: url.database)] {
            lastLabel += 1
            expectations[lastLabel] = .subscribed
            listener.subscribe(RedisCommand("SUBSCRIBE", channel), label: lastLabel, now: now)
        }
        listener.flush()
        send(RedisCommand("INFO"), .info)
        for (script, text) in [
            (Script.take, RedisScripts.take), (.commit, RedisScripts.commit), (.renew, RedisScripts.renew),
            (.restore, RedisScripts.restore),
            (.inherit, RedisScripts.inherit), (.bury, RedisScripts.bury),
        ] { send(RedisCommand("SCRIPT", "LOAD", text), .loaded(script)) }
        for queue in queues {
            let member = queue + RedisKeys.separator + RedisKeys.separator + queue
            send(RedisCommand("SADD", RedisKeys.binding(queue), member), .ignored)
            send(RedisCommand("SADD", RedisKeys.permanentBinding(queue), member), .ignored)
        }
        commands.flush()
    }

    /// The last step: everything else has been answered.
    private func prove() {
        guard let clientID, phase == .preparing else { return }
        send(RedisCommand("CLIENT", "TRACKING", "ON", "REDIRECT", String(clientID), "OPTIN"), .tracking)
        var command = RedisCommand("EVALSHA", digests[.renew] ?? "", "2", RedisKeys.nodes, RedisKeys.unackedIndex, incarnation.id)
        command.append(contentsOf: held)
        send(command, .proof)
        commands.flush()
    }

    private func inspect(_ info: String) {
        func field(_ name: String) -> Substring? {
            info.split(whereSeparator: \.isNewline).first { $0.hasPrefix(name + ":") }?.dropFirst(name.count + 1)
        }
        if field("cluster_enabled") == "1" {
            lose("this Redis is a node of a Redis Cluster, which is not supported: name a server that stands alone")
        }
        if field("role") == "slave" {
            lose("this Redis is a read-only replica: point the broker at its primary")
        }
        if let version = field("redis_version") {
            let parts = version.split(separator: ".").compactMap { Int($0) }
            if parts.count >= 2, (parts[0], parts[1]) < (6, 2) { lose("Redis \(version) is too old: 6.2 or later is needed") }
        }
        if let policy = field("maxmemory_policy"), policy != "noeviction" {
            events.append(
                .notice(
                    "Redis may evict tasks and results: its maxmemory-policy is \(policy); set it to noeviction (CONFIG SET maxmemory-policy noeviction)"
                ))
        }
    }

    // MARK: what comes in

    private func accept(_ expectation: Expectation, _ value: RedisValue, now: MonotonicTime) {
        if let error = value.error, !tolerates(error, expectation) {
            lose(explain(error))
            return
        }
        switch expectation {
        case .clientID:
            clientID = value.integer
            if digests.count == Script.allCases.count { prove() }
        case .subscribed, .ignored, .restored: break
        case .loaded(let script):
            digests[script] = value.text
            if digests.count == Script.allCases.count { prove() }
        case .info: if let info = value.text { inspect(info) }
        case .tracking:
            if value.error != nil {
                hasDoorbell = false
                nextPoll = now.advanced(by: RedisBrokerSession.pollInterval)
                events.append(
                    .notice(
                        "CLIENT TRACKING is refused: looking for messages every \(RedisBrokerSession.pollInterval) s instead of being told")
                )
            }
        case .proof:
            guard phase == .preparing else { break }
            phase = .standing
            nextRenewal = now.advanced(by: RedisBrokerSession.renewInterval)
            events.append(.standing)
        case .taken(let asked, let first, let order): taken(value.array ?? [], asked: asked, first: first, order: order)
        case .armed: if (value.integer ?? 0) > 0 { events.append(.rang) }
        case .committed(let commits): committed(commits, value)
        case .leases(let asked): observe(value, asked: asked, now: now)
        case .held(let death, _, let found, let started): scanned(death, value, found: found, started: started)
        case .inherited: inherited(value.array ?? [])
        case .bindings(let reply): send(reply, to: value.array ?? [])
        case .closed: lose("closed")
        }
    }

    private func tolerates(_ error: String, _ expectation: Expectation) -> Bool {
        switch expectation {
        // INFO and CLIENT TRACKING may be forbidden; a reply's queue is none of our business.
        case .info, .tracking, .bindings, .ignored: true
        default: false
        }
    }

    private func explain(_ error: String) -> String {
        if error.hasPrefix("NOPERM") {
            return
                "the Redis user lacks a permission (\(error)): it needs EVALSHA and SCRIPT LOAD (+@scripting), and the keys and channels of Celery and coppice.*"
        }
        if error.hasPrefix("READONLY") { return "this Redis has become a read-only replica" }
        if error.hasPrefix("OOM") { return "Redis is out of memory (maxmemory): \(error)" }
        return error
    }

    private func taken(_ parts: [RedisValue], asked: Int, first: UInt64, order: [Int]) {
        var messages: [ReceivedMessage] = []
        var index = 0
        while index + 1 < parts.count {
            guard let list = parts[index].integer, let raw = parts[index + 1].bytes, list >= 1 else { break }
            let queue = queues[order[(list - 1) % queues.count]]
            let step = RedisKeys.steps[min((list - 1) / queues.count, RedisKeys.steps.count - 1)]
            let tag = "\(incarnation.id):\(first + UInt64(index / 2)):\(step)"
            held.insert(tag)
            messages.append(ReceivedMessage(tag: DeliveryTag(tag), queue: queue, raw: raw))
            index += 2
        }
        events.append(.taken(messages))
        if messages.count < asked, hasDoorbell { arm() }
    }

    /// Asks to be told of the next message. What has come since the take is in the answer.
    private func arm() {
        send(RedisCommand("CLIENT", "CACHING", "YES"), .ignored)
        var command = RedisCommand("EXISTS")
        for step in RedisKeys.steps { command.append(contentsOf: queues.map { RedisKeys.list($0, step: step) }) }
        send(command, .armed)
        commands.flush()
    }

    private func committed(_ commits: [Commit], _ value: RedisValue) {
        let verdicts = (value.bytes ?? []).map { $0 == UInt8(ascii: "1") }
        guard verdicts.count == commits.count else {
            lose("an answer to a commit that makes no sense")
            return
        }
        for commit in commits where commit.step != .keep && commit.step != .startLate { held.remove(commit.tag.value) }
        events.append(.committed(verdicts))
    }

    private func pushed(_ message: RedisValue) {
        guard let parts = message.array, parts.count == 3, let channel = parts[1].text else { return }
        if channel == RedisKeys.invalidations {
            if phase == .standing { events.append(.rang) }
        } else if let raw = parts[2].bytes, let body = Envelope.controlBody(raw) {
            events.append(.control(body))
        }
    }

    private func send(_ reply: ControlReply, to bindings: [RedisValue]) {
        let separator = RedisKeys.separator
        for binding in bindings.compactMap(\.text) {
            // routing key, separator, pattern, separator, queue
            guard binding.hasPrefix(reply.routingKey + separator), let last = binding.ranges(of: separator).last else { continue }
            let queue = String(binding[last.upperBound...])
            send(RedisCommand("LPUSH", queue), .ignored, appending: Envelope.write(reply))
            // Nobody reads it any more if the caller has given up.
            send(RedisCommand("EXPIRE", queue, "10"), .ignored)
        }
        commands.flush()
    }

    private func send(_ command: RedisCommand, _ expectation: Expectation, appending bytes: [UInt8]) {
        var command = command
        command.append(bytes)
        send(command, expectation)
    }

    // MARK: leases

    private func renew(now: MonotonicTime) {
        nextRenewal = now.advanced(by: RedisBrokerSession.renewInterval)
        var command = RedisCommand("EVALSHA", digests[.renew] ?? "", "2", RedisKeys.nodes, RedisKeys.unackedIndex, incarnation.id)
        command.append(contentsOf: held)
        send(command, .leases(asked: now))
        listener.send(RedisCommand("PING"), label: 0, now: now)
        commands.flush()
        listener.flush()
        // Parked messages may be due, and a bell may have been lost with its server's memory.
        events.append(.rang)
    }

    private func observe(_ value: RedisValue, asked: MonotonicTime, now: MonotonicTime) {
        let parts = (value.array ?? []).compactMap(\.text)
        var counters: [String: String] = [:]
        var index = 0
        while index + 1 < parts.count {
            if parts[index] != incarnation.id { counters[parts[index]] = parts[index + 1] }
            index += 2
        }
        for death in observer.look(counters, asked: asked, answered: now) {
            scan(death, cursor: "0", found: [], started: false)
        }
    }

    /// Looks for what a dead incarnation held: first its unacknowledged messages, then its start records.
    private func scan(_ death: LeaseObserver.Death, cursor: String, found: [String], started: Bool) {
        let key = started ? RedisKeys.started : RedisKeys.unacked
        send(
            RedisCommand("HSCAN", key, cursor, "MATCH", "\(death.incarnation):*", "COUNT", "1000"),
            .held(dead: death, cursor: cursor, found: found, started: started))
        commands.flush()
    }

    private func scanned(_ death: LeaseObserver.Death, _ value: RedisValue, found: [String], started: Bool) {
        guard let parts = value.array, parts.count == 2, let cursor = parts[0].text, let fields = parts[1].array else { return }
        var found = found
        for index in stride(from: 0, to: fields.count, by: 2) {
            if let tag = fields[index].text { found.append(tag) }
        }
        guard cursor == "0" else {
            scan(death, cursor: cursor, found: found, started: started)
            return
        }
        func sequence(_ tag: String) -> Int { Int(tag.split(separator: ":").dropFirst().first ?? "") ?? 0 }
        // Pushed to the front one after the other, the oldest last, so that it is taken first.
        let tags = Set(found).sorted { sequence($0) > sequence($1) }
        if started {
            inherit(death, tags)
            send(RedisCommand("EVALSHA", digests[.bury] ?? "", "1", RedisKeys.nodes, death.incarnation, death.counter), .ignored)
        } else {
            for start in stride(from: 0, to: tags.count, by: RedisBrokerSession.recoveryBatch) {
                var command = RedisCommand("EVALSHA", digests[.restore] ?? "", "3", RedisKeys.nodes, RedisKeys.unacked)
                command.append(RedisKeys.unackedIndex)
                command.append(death.incarnation)
                command.append(death.counter)
                command.append(RedisKeys.separator)
                command.append(contentsOf: tags[start..<min(start + RedisBrokerSession.recoveryBatch, tags.count)])
                send(command, .restored)
            }
            if !tags.isEmpty { events.append(.recovered(tags.count)) }
            scan(death, cursor: "0", found: [], started: true)
        }
        commands.flush()
    }

    private func inherit(_ death: LeaseObserver.Death, _ tags: [String]) {
        for start in stride(from: 0, to: tags.count, by: RedisBrokerSession.recoveryBatch) {
            let batch = tags[start..<min(start + RedisBrokerSession.recoveryBatch, tags.count)]
            var sequence = incarnation.reserve(batch.count)
            var command = RedisCommand("EVALSHA", digests[.inherit] ?? "", "2", RedisKeys.nodes, RedisKeys.started)
            command.append(death.incarnation)
            command.append(death.counter)
            for tag in batch {
                command.append(tag)
                command.append("\(incarnation.id):\(sequence):\(stepText(DeliveryTag(tag)))")
                sequence += 1
            }
            send(command, .inherited)
        }
    }

    private func inherited(_ parts: [RedisValue]) {
        var messages: [ReceivedMessage] = []
        for index in stride(from: 0, to: parts.count - 1, by: 2) {
            guard let tag = parts[index].text, let entry = parts[index + 1].bytes else { continue }
            guard let (raw, queue) = Envelope.unwrap(entry) else { continue }
            messages.append(ReceivedMessage(tag: DeliveryTag(tag), queue: queue, raw: raw))
        }
        if !messages.isEmpty { events.append(.orphaned(messages)) }
    }
}
