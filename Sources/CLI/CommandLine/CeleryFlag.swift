/// A flag of `celery worker`, or of `celery` itself, that is none of ours.
struct CeleryFlag {
    let names: [String]
    /// Whether a value follows it.
    let takesValue: Bool
    /// - Parameter value: nil if it takes none.
    let answer: @Sendable (_ value: String?) -> Answer

    enum Answer {
        /// It changes nothing: why.
        case passedOver(String)
        /// The request is not carried out: why, or what to do instead.
        case refused(String)
        /// The same of one of its values.
        case wrongValue(String)
    }

    private static func passedOver(_ names: String..., takesValue: Bool = false, since reason: String) -> CeleryFlag {
        CeleryFlag(names: names, takesValue: takesValue) { _ in .passedOver(reason) }
    }

    private static func refused(_ names: String..., takesValue: Bool = false, since reason: String) -> CeleryFlag {
        CeleryFlag(names: names, takesValue: takesValue) { _ in .refused(reason) }
    }

    private static let noPython = "there is no Python here; --app names the worker executable"
    private static let noBeat = "there is no beat here; run 'celery -A APP beat' beside the workers, once for all of them"
    private static let noGossip = "nodes do not talk to each other"
    private static let noHeartbeat = "a node sends no event heartbeats"

    /// In the order of `celery worker --help`, those of `celery --help` behind them (Celery 5.7).
    static let all: [CeleryFlag] = [
        refused(
            "-D", "--detach", since: "a worker stays in the foreground; have systemd (coppice-worker@NAME) or another supervisor start it"),
        passedOver("-S", "--statedb", takesValue: true, since: "revoked ids are kept with the broker"),
        passedOver("-O", "--optimization", takesValue: true, since: "a task goes to the child with the least to do, as with -O fair"),
        refused("--disable-prefetch", since: "--prefetch-multiplier 1 is the least: one message a child beyond those that run"),
        CeleryFlag(names: ["-P", "--pool"], takesValue: true, answer: pool),
        passedOver(
            "-E", "--task-events", "--events", since: "events are not sent yet; Flower and 'celery events' see nothing of this node"),
        passedOver("--pool-start-method", takesValue: true, since: "each child is a new process of the worker executable"),
        refused("--purge", "--discard", since: "'coppice purge QUEUE…' removes what waits, before the worker is started"),
        refused("-X", "--exclude-queues", takesValue: true, since: "--queues names those that are wanted"),
        refused("-I", "--include", takesValue: true, since: noPython),
        passedOver("--without-gossip", since: noGossip),
        passedOver("--without-mingle", since: noGossip),
        passedOver("--without-heartbeat", since: noHeartbeat),
        passedOver("--heartbeat-interval", takesValue: true, since: noHeartbeat),
        refused("-B", "--beat", since: noBeat),
        refused("-s", "--schedule-filename", "--schedule", takesValue: true, since: noBeat),
        refused("--scheduler", takesValue: true, since: noBeat),
        refused(
            "--uid", takesValue: true, since: "start the worker as that user (User= in a unit); --child-user is for the children alone"),
        refused(
            "--gid", takesValue: true, since: "start the worker with that group (Group= in a unit); --child-user is for the children alone"),
        refused("--umask", takesValue: true, since: "set it before the start: umask in a shell, UMask= in a unit"),
        refused("--executable", takesValue: true, since: noPython),
        refused("--loader", takesValue: true, since: noPython),
        refused("--workdir", takesValue: true, since: "start the worker in that folder: cd in a shell, WorkingDirectory= in a unit"),
        passedOver("-C", "--no-color", since: "no output is coloured"),
        passedOver("-q", "--quiet", since: "--loglevel says how much is logged"),
        passedOver("--skip-checks", since: "there is no Django here"),
    ]

    private static func pool(_ name: String?) -> Answer {
        switch name {
        case "prefork", "processes": .passedOver("tasks always run in child processes")
        case "solo": .wrongValue("tasks always run in child processes; --concurrency 1 runs one at a time")
        default: .wrongValue("tasks always run in child processes; --concurrency says in how many")
        }
    }
}
