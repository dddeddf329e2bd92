import CoppiceShared
import CoppiceTransport
import Logging

/// A message that this master holds, from the take to its settlement.
final class Delivery {
    let tag: DeliveryTag
    let queue: String
    let message: TaskMessage
    /// Bytes of the message as it stood with the broker.
    var size = 0
    /// The master's number for its handing-out; a new one each time. 0: not handed out.
    var assignment: UInt64 = 0
    var lifecycle = DeliveryLifecycle()
    /// The child that it was handed to last, while that lives.
    weak var child: Child?
    /// The options of the task as the child that has it declared them.
    var declaration: TaskDeclaration?
    var record = AttemptRecord()
    /// A child has died by itself with this next in its hand, and nothing begun. With a new child that may be the worker's fault, so that
    /// the next one has to be older; and how many of these have died.
    var wantsProvenChild = false
    var idleDeaths = 0
    /// No child has its task: the newest that had been spawned when that was found. Those that still start of these are waited for.
    var awaitsStart: UInt64?
    /// Its end was ordered before its child had begun it: the signal that it gets with its start.
    var endsBy: Int32?
    /// Others have it, since this node was taken for dead.
    var isGone = false
    /// Where in the outbox its start and its progress stand, while they have not been sent.
    var unsentStart: Int?
    var unsentProgress: Int?
    /// Records of its start and progress that a store of its own has not been given. The outbox's alone.
    var untoldStates: [ResultWrite] = []
    /// Its start was taken back from the outbox, since its end had come: the message is not acknowledged before that is.
    var isStartWithheld = false
    /// How many of its steps are in the outbox.
    var openSteps = 0

    init(tag: DeliveryTag, queue: String, message: TaskMessage) {
        self.tag = tag
        self.queue = queue
        self.message = message
    }

    /// When its start was heard of.
    var startedAt: MonotonicTime?
    /// Seconds that it ran, once that is known.
    var runtime: Double?

    var acksLate: Bool { declaration?.acksLate ?? false }
    /// Acknowledged before it is handed out: it never starts twice.
    var isStrict: Bool { !acksLate && declaration?.isStrict ?? false }
    /// Whether something must stand written before it may be handed out.
    var needsRecord: Bool { (acksLate || isStrict) && record.state != .standing }
    /// Whether it may be handed out at once, for the first time.
    var isRecordedReady: Bool { record.state == .standing && assignment == 0 && lifecycle.progress == .ready }
    /// What its start commits.
    var startStep: Commit.Step { acksLate || isStrict ? .keep : .startEarly }
    var storesResult: Bool { !(message.ignoreResult ?? declaration?.ignoreResult ?? false) }
    /// What its child says it is called with, as JSON texts; where records shall tell it.
    var call: (arguments: [UInt8], keywords: [UInt8])?

    func extended(node: String) -> ExtendedResult {
        ExtendedResult(
            name: message.name, arguments: call?.arguments, keywords: call?.keywords, worker: node, retries: message.retries,
            queue: message.routingKey, headers: (try? JSONValue(parsing: message.headers))?.object ?? JSONObject())
    }
    /// How the log calls it.
    var name: String { "\(message.displayName)[\(message.id)]" }

    /// What lines of the log about it carry: the task, and the child that has it.
    var fields: Logger.Metadata {
        let label = TaskLabel(assignment: assignment, id: message.id, name: message.name, queue: queue, retries: message.retries)
        var fields = label.fields.merging(child?.fields(of: nil) ?? [:]) { own, _ in own }
        if let runtime { fields[LogField.runtime] = .stringConvertible(Seconds.rounded(runtime)) }
        return fields
    }

    /// It has ended; where its child has not said how long it took, that is what was seen of it.
    func ended(now: MonotonicTime) {
        if runtime == nil { runtime = startedAt.map { now.seconds(since: $0) } }
    }
}
