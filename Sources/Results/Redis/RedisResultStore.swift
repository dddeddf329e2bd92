import CoppiceRedis
import CoppiceShared
import CoppiceSystem

/// Records where Celery's Redis backend keeps them: `<prefix>celery-task-meta-<id>`, stored and published in one step (celery-wire §4.1).
public final class RedisResultStore: ResultStore {
    /// ARGV: expiry, keys' prefix, then what the function wants of each write.
    private static let script = """
        \(RedisResultWrites.function)
        for i = 3, #ARGV, 3 do write(ARGV[2] .. ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[1]) end
        return 'OK'
        """

    private enum Label: Int {
        case loaded = 100
        case stored, fetched, subscribed
    }

    private let expiry: Int
    private let connection: RedisConnection
    /// Made at the first `watch`: a connection with subscriptions takes no other commands.
    private var listener: RedisConnection?
    /// Whether the listener has been open: then its end is no reason to give up.
    private var hasListened = false
    private let url: RedisURL
    /// What stands before a task's id in its key and channel.
    private let prefix: String
    private var digest = ""
    private var events: [ResultEvent] = []
    private var storing: [UInt64] = []
    private var fetching: [String] = []
    private var watched: [String] = []
    private var isOver = false

    public init(_ url: RedisURL, expiry: Int = ResultExpiry.standard) {
        self.url = url
        prefix = url.resultPrefix
        self.expiry = expiry
        connection = RedisConnection(url, clientName: "coppice-results", now: .now)
        drain()
    }

    public func takeEvents() -> [ResultEvent] {
        // A write may have found that the connection is lost, and nobody is called for a descriptor that is gone.
        drain()
        defer { events.removeAll(keepingCapacity: true) }
        return events
    }

    public func store(_ writes: [ResultWrite], as batch: UInt64) {
        storing.append(batch)
        var command = RedisCommand("EVALSHA", digest, "0", String(expiry), prefix)
        for write in writes { command.append(write) }
        send(command, .stored)
    }

    public func fetch(_ taskID: String) {
        fetching.append(taskID)
        send(RedisCommand("GET", prefix + taskID), .fetched)
    }

    public func watch(_ taskID: String) {
        watched.append(taskID)
        if let listener {
            if listener.isOpen { subscribe(taskID, on: listener) }
        } else {
            listen()
            drain()
        }
    }

    private func listen() {
        hasListened = false
        listener = RedisConnection(url, clientName: "coppice-results", now: .now)
    }

    private func subscribe(_ taskID: String, on listener: RedisConnection) {
        listener.subscribe(RedisCommand("SUBSCRIBE", prefix + taskID), label: Label.subscribed.rawValue, now: .now)
        listener.flush()
    }

    private func send(_ command: RedisCommand, _ label: Label) {
        connection.send(command, label: label.rawValue, now: .now)
        connection.flush()
    }

    // MARK: Pollable

    public var interests: [PollInterest] { connection.interests + (listener?.interests ?? []) }

    public var deadline: MonotonicTime? { [connection.deadline, listener?.deadline].compactMap { $0 }.min() }

    public func ready(_ descriptor: Int32, _ happened: PollEvents, now: MonotonicTime) {
        for connection in [connection, listener].compactMap({ $0 })
        where connection.interests.contains(where: { $0.descriptor == descriptor }) {
            connection.ready(descriptor, happened, now: now)
        }
        drain()
    }

    public func expired(now: MonotonicTime) {
        for connection in [connection, listener].compactMap({ $0 }) {
            if let deadline = connection.deadline, deadline <= now { connection.expired(now: now) }
        }
        drain()
    }

    private func drain() {
        for event in connection.takeEvents() {
            switch event {
            case .open: send(RedisCommand("SCRIPT", "LOAD", RedisResultStore.script), .loaded)
            case .reply(let label, let value): accept(Label(rawValue: label), value)
            case .lost(let reason): lose(reason)
            }
        }
        guard let listener else { return }
        for event in listener.takeEvents() {
            switch event {
            case .open:
                // Of several servers one hears nothing of what is announced on another.
                guard connection.endpoint == nil || listener.endpoint == connection.endpoint else {
                    return lose("the servers of the list changed places while we connected")
                }
                hasListened = true
                for taskID in watched { subscribe(taskID, on: listener) }
            case .reply(RedisConnection.pushLabel, let message):
                guard let parts = message.array, parts.count == 3, let channel = parts[1].text, let record = parts[2].bytes else { break }
                events.append(.record(taskID: String(channel.dropFirst(prefix.count)), text: record))
            case .reply(_, let value):
                if let error = value.error {
                    lose(RedisFault.explain(error))
                } else if let channel = value.array.flatMap({ $0.count > 1 ? $0[1].text : nil }) {
                    // What was stored before the subscription stood is announced no more.
                    fetch(String(channel.dropFirst(prefix.count)))
                }
            // Redis cuts a listener for which it would have to keep more than 32 MB (client-output-buffer-limit): a record that is as long
            // as that is read once the next listener stands.
            case .lost(let reason): if hasListened, !isOver { listen() } else { lose(reason) }
            }
        }
    }

    private func accept(_ label: Label?, _ value: RedisValue) {
        if let error = value.error {
            // NOSCRIPT, too: what is stored over a new connection comes in order again.
            lose(RedisFault.explain(error))
            return
        }
        switch label {
        case .loaded:
            guard let name = value.text else { return lose("an answer to SCRIPT LOAD that makes no sense") }
            digest = name
            events.append(.standing)
        case .stored: if !storing.isEmpty { events.append(.stored(batch: storing.removeFirst())) }
        case .fetched:
            guard value == .null || value.bytes != nil else { return lose("an answer to GET that makes no sense") }
            if !fetching.isEmpty { events.append(.record(taskID: fetching.removeFirst(), text: value.bytes)) }
        case .subscribed, .none: break
        }
    }

    private func lose(_ reason: String) {
        guard !isOver else { return }
        isOver = true
        connection.giveUp()
        listener?.close()
        events.append(.lost(reason))
    }
}
