import CoppiceAMQP
import CoppiceShared
import CoppiceSystem

/// Celery's `rpc://`: each record goes as a message to the queue that the caller named, and nowhere else (celery-wire §4.7).
///
/// Nothing is kept. Who asks for a record is given what has come into the reply queue of this object; a store without one, as a
/// master's, has none to give.
///
/// A record that RabbitMQ does not take is given up after a few tries. In place of a task's end that is too large its caller gets a small
/// FAILURE that says so.
public final class AMQPResultStore: ResultStore {
    private let connection: AMQPClientConnection
    /// For our own reply queue.
    private let replies: AMQPRequestLine
    private let replyQueue: String?
    private let expiry: Int
    private var events: [ResultEvent] = []
    /// How many records of each batch are under way.
    private var left: [UInt64: Int] = [:]
    private var repetition = Repetition()
    /// The newest record of each task that has come.
    private var records: [String: [UInt8]] = [:]
    private var watched: Set<String> = []

    /// - Parameters:
    ///   - replyQueue: the queue that our own calls name as `reply_to`; made here, and read to the end by this object alone.
    ///   - expiry: for how long the queue stays when nobody reads it, in seconds.
    ///   - largestRecord: bytes above which a record is not read.
    public init(
        _ url: AMQPURL, replyQueue: String? = nil, expiry: Int = ResultExpiry.standard, largestRecord: Int = AMQPResultStore.largestRecord
    ) {
        self.replyQueue = replyQueue
        self.expiry = expiry
        connection = AMQPClientConnection(url, clientName: "coppice-results", messageLimit: largestRecord)
        replies = AMQPRequestLine(connection.connection, channel: AMQPClientConnection.firstFreeChannel)
        connection.publisher.onNotice = { [unowned self] in events.append(.notice($0)) }
        connection.tell { [unowned self] in accept($0) }
    }

    /// Bytes.
    public static let largestRecord = 64 << 20

    public func takeEvents() -> [ResultEvent] {
        defer { events.removeAll(keepingCapacity: true) }
        return events
    }

    public let takesSeveral = true
    public var isHeldUp: Bool { connection.connection.isBlocked }

    public func store(_ writes: [ResultWrite], as batch: UInt64) {
        let addressed = writes.filter { !($0.replyTo ?? "").isEmpty }
        left[batch] = addressed.count
        for write in addressed {
            publish(write) { [unowned self] in
                left[batch]? -= 1
                report(batch)
            }
        }
        report(batch)
        connection.flush()
    }

    /// - Parameter isReplacement: of a record that could not be sent.
    private func publish(_ write: ResultWrite, isReplacement: Bool = false, then done: @escaping () -> Void) {
        var properties = AMQPProperties()
        properties.contentType = "application/json"
        properties.contentEncoding = "utf-8"
        properties.headers = JSONObject()
        properties.deliveryMode = 1
        properties.priority = 0
        properties.correlationID = write.correlationID ?? write.taskID
        let message = AMQPMessage(routingKey: write.replyTo ?? "", properties: properties, body: write.record)
        // A state on the way is tried once: later it might come behind the end.
        connection.publisher.publish(message, write.state.isReady ? .reply : .standingWay, now: .now) { [unowned self] refusal in
            guard let refusal else { return done() }
            if refusal.code == AMQPRefusal.noRoute {
                notice(
                    "a result of task \(write.taskID) is for nobody: its caller is gone, and with it the queue \(message.routingKey)",
                    as: "nobody")
                done()
            } else if !write.state.isReady {
                notice("a state of task \(write.taskID) can't be sent to its caller: \(refusal)", as: "state")
                done()
            } else if refusal.code == 406, !isReplacement {
                let text = "a result of \(write.record.count) bytes can't be sent: \(refusal)"
                events.append(.refused("Task \(write.taskID): \(text); its caller is sent a FAILURE that says so"))
                publish(write.replaced(because: text), isReplacement: true, then: done)
            } else {
                events.append(.refused("Task \(write.taskID): its result can't be sent to its caller and is dropped: \(refusal)"))
                done()
            }
        }
    }

    private func notice(_ text: String, as kind: String) {
        guard let count = repetition.happened(kind, now: .now) else { return }
        events.append(.notice(count > 1 ? "\(text) (\(count) such since this was last said)" : text))
    }

    public func fetch(_ taskID: String) { events.append(.record(taskID: taskID, text: records[taskID])) }

    public func watch(_ taskID: String) {
        watched.insert(taskID)
        if let record = records[taskID] { events.append(.record(taskID: taskID, text: record)) }
    }

    // MARK: Pollable

    public var interests: [PollInterest] { connection.interests }
    public var deadline: MonotonicTime? { connection.deadline }
    public func ready(_ descriptor: Int32, _ happened: PollEvents, now: MonotonicTime) { connection.ready(descriptor, happened, now: now) }
    public func expired(now: MonotonicTime) { connection.expired(now: now) }

    // MARK: steps

    private func accept(_ event: AMQPEvent) {
        switch event {
        case .open: if let replyQueue { listen(replyQueue) } else { openPublisher() }
        case .delivery(_, let delivery): arrived(delivery)
        case .cancelled: connection.lose("the reply queue is gone")
        case .blocked(let reason): events.append(.notice("RabbitMQ takes no results (\(reason)): they wait"))
        case .unblocked: events.append(.notice("RabbitMQ takes results again"))
        case .lost(let reason): events.append(.lost(reason))
        default: _ = replies.accept(event, now: .now)
        }
    }

    private func listen(_ queue: String) {
        replies.open(now: .now)
        let arguments: JSONObject = ["x-expires": .int(expiry * 1000)]
        replies.ask(.queueDeclare(queue, autoDelete: true, arguments: arguments), now: .now) { [unowned self] answer in
            if case .failure(let refusal) = answer { connection.lose("the reply queue \(queue) can't be made: \(refusal)") }
        }
        replies.ask(.consume(queue: queue, tag: "results", noAck: true), now: .now) { [unowned self] answer in
            if case .success = answer { openPublisher() }
        }
    }

    private func openPublisher() { connection.publisher.open(now: .now) { [unowned self] in events.append(.standing) } }

    private func arrived(_ delivery: AMQPDelivery) {
        guard let record = try? JSONValue(parsing: delivery.body), let taskID = record["task_id"]?.string else { return }
        // A state that comes late does not replace the end.
        if let known = records[taskID], let state = (try? JSONValue(parsing: known))?["status"]?.string, TaskState(state).isReady { return }
        records[taskID] = delivery.body
        if watched.contains(taskID) { events.append(.record(taskID: taskID, text: delivery.body)) }
    }

    private func report(_ batch: UInt64) {
        guard left[batch] == 0 else { return }
        left[batch] = nil
        events.append(.stored(batch: batch))
    }
}

extension ResultWrite {
    /// The end of the same task for the same caller, without what can't be sent.
    fileprivate func replaced(because text: String) -> ResultWrite {
        let failure = TaskFailure(type: "MessageError", module: "coppice.errors", arguments: [.string(text)])
        var write = ResultWrite(
            ResultRecord(taskID: taskID, state: .failure, result: ResultRecord.exception(failure), dateDone: .now), reach: reach)
        write.replyTo = replyTo
        write.correlationID = correlationID
        return write
    }
}
