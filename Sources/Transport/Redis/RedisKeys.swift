/// The keys that we read and write, beside the queues themselves. Names without a prefix of ours are kombu's (celery-wire §2.2).
enum RedisKeys {
    static let unacked = "unacked"
    static let unackedIndex = "unacked_index"
    /// Hash, incarnation → counter: the leases. A field goes with its incarnation.
    static let nodes = "coppice.nodes"
    /// Hash, tag → the entry that was in `unacked`: tasks that were acknowledged when they started. A field goes with its verdict.
    static let started = "coppice.started"
    /// List, newest first, of dead-letter records (JSON, version 1); and hash, record id → message.
    static let dead = "coppice.dead"
    static let deadMessages = "coppice.dead.messages"
    /// List, newest first, of the record ids whose message is kept; and how many bytes these messages have.
    static let deadOrder = "coppice.dead.order"
    static let deadSize = "coppice.dead.bytes"
    /// Zset, task id → mark: what has been revoked. Bounded in number and age.
    static let revoked = "coppice.revoked"
    /// List of `AttemptStory` texts, per task id; expires.
    static let attempts = "coppice.attempts."

    /// Zset, parked tag → eta: what waits for its time, per queue. The messages stay in `unacked`.
    static func parked(_ queue: String) -> String { "coppice.parked.\(queue)" }

    static let separator = "\u{06}\u{16}"
    /// kombu's `priority_steps`; a message's step is the largest that is not above its priority.
    static let steps = [0, 3, 6, 9]

    static func list(_ queue: String, step: Int) -> String { step == 0 ? queue : queue + separator + String(step) }

    static func step(ofPriority priority: Int) -> Int { steps.last { $0 <= priority } ?? 0 }

    static func binding(_ exchange: String) -> String { "_kombu.binding.\(exchange)" }
    static func permanentBinding(_ exchange: String) -> String { "_kombu.binding_permanent.\(exchange)" }

    /// The channel of control requests. The database stands in its name, since channels know no databases.
    static func controlChannel(database: Int) -> String { "/\(database).celery.pidbox" }
    static let invalidations = "__redis__:invalidate"
}
