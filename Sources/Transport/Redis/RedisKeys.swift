import CoppiceRedis

/// The keys that we read and write on one broker, and its channels. Names without a prefix of ours are kombu's (celery-wire §2.2);
/// `global_keyprefix` stands before all of them.
struct RedisKeys {
    let prefix: String
    let layout: RedisQueueLayout
    private let database: Int

    init(_ url: RedisURL) {
        prefix = url.keyPrefix
        layout = url.layout
        database = url.database
    }

    var unacked: String { prefix + "unacked" }
    var unackedIndex: String { prefix + "unacked_index" }
    /// kombu's, while somebody puts back what dead Python workers left.
    var unackedMutex: String { prefix + "unacked_mutex" }
    /// Hash, incarnation → `<session>.<counter>`: the leases. A field goes with its incarnation.
    var nodes: String { prefix + "coppice.nodes" }
    /// Zset, incarnation → the server's time when it last said so: who watches all leases, on behalf of the others too.
    var watchers: String { prefix + "coppice.watchers" }
    /// Hash, tag → the entry that was in `unacked`: tasks that were acknowledged when they started. A field goes with its verdict.
    var started: String { prefix + "coppice.started" }
    /// List, newest first, of dead-letter records (JSON, version 1); and hash, record id → message.
    var dead: String { prefix + "coppice.dead" }
    var deadMessages: String { prefix + "coppice.dead.messages" }
    /// List, newest first, of the record ids whose message is kept; and how many bytes these messages have.
    var deadOrder: String { prefix + "coppice.dead.order" }
    var deadSize: String { prefix + "coppice.dead.bytes" }
    /// Zset, task id → mark: what has been revoked. Bounded in number and age.
    var revoked: String { prefix + "coppice.revoked" }
    /// `<incarnation>:<sequence>:0`, alone or behind "started" or "finished": who has a message of a broker that keeps no book; expires.
    var claims: String { prefix + "coppice.claim." }
    /// The keys on which rights are tried; gone with the trial.
    var probe: String { prefix + "coppice.probe." }
    /// List of `AttemptStory` texts, by task id; expires.
    var attempts: String { prefix + "coppice.attempts." }

    /// Zset, parked tag → eta: what waits for its time, per queue. The messages stay in `unacked`.
    func parked(_ queue: String) -> String { "\(prefix)coppice.parked.\(queue)" }

    /// A queue's list of one priority step.
    func list(_ queue: String, step: Int = 0) -> String { prefix + queue + layout.suffix(step: step) }

    /// A queue's list for a message of a priority.
    func list(_ queue: String, priority: Int) -> String { list(queue, step: layout.step(ofPriority: priority)) }

    /// A queue's lists, in the order in which they are served.
    func lists(_ queue: String) -> [String] { layout.steps.map { list(queue, step: $0) } }

    func binding(_ exchange: String) -> String { "\(prefix)_kombu.binding.\(exchange)" }
    func permanentBinding(_ exchange: String) -> String { "\(prefix)_kombu.binding_permanent.\(exchange)" }

    /// List: what a fanout exchange has sent to one incarnation and it has not taken yet. It expires `fanoutLifetime` seconds after the
    /// last message, and holds so many at the most.
    func fanout(_ queue: String, _ incarnation: Incarnation) -> String { "coppice.fanout.\(incarnation.id).\(queue)" }
    static let fanoutLifetime = "3600"
    static let fanoutLimit = 10_000

    /// The channel of a fanout exchange (celery-wire §2.8).
    func fanoutChannel(exchange: String, routingKey: String) -> String {
        "\(prefix)/\(database).\(exchange)" + (routingKey.isEmpty ? "" : "/" + routingKey)
    }

    /// The channel of control requests. The database stands in its name, since channels know no databases.
    var controlChannel: String { "\(prefix)/\(database).celery.pidbox" }
    static let invalidations = "__redis__:invalidate"
}
