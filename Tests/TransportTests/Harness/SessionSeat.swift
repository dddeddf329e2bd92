import CoppiceShared
import CoppiceSystem
import CoppiceTransport

/// A broker session on the stage.
final class SessionSeat {
    let session: any BrokerSession
    let incarnation: Incarnation
    let seat: Seat<BrokerEvent>

    init(_ stage: Stage, _ session: any BrokerSession, incarnation: Incarnation) {
        self.session = session
        self.incarnation = incarnation
        seat = stage.add(session) { session.takeEvents() }
    }

    func stand() throws -> SessionSeat {
        try seat.next("standing") { if case .standing = $0 { true } else { nil } }
        return self
    }

    func take(_ count: Int) throws -> [ReceivedMessage] {
        session.take(upTo: count)
        return try seat.next("taken") { if case .taken(let messages) = $0 { messages } else { nil } }
    }

    /// Takes until so many are there, each time when the bell rings, as a master does.
    func takeAll(_ count: Int) throws -> [ReceivedMessage] {
        var all = try take(count)
        let end = MonotonicTime.now.advanced(by: 30)
        while all.count < count {
            guard MonotonicTime.now < end else { throw DidNotCome(what: "\(count) messages", seen: "\(all.map(\.id))") }
            try rang()
            all += try take(count - all.count)
        }
        return all
    }

    func rang(seconds: Double = 15) throws {
        try seat.next("rang", seconds: seconds) { if case .rang = $0 { true } else { nil } }
    }

    /// For each commit, whether the message was still held.
    @discardableResult
    func commit(_ commits: [Commit]) throws -> [Bool] { try verdicts(commits).map { !$0.isVoid } }

    func verdicts(_ commits: [Commit]) throws -> [CommitVerdict] {
        session.commit(commits, as: 1)
        return try seat.next("committed") { if case .committed(_, let verdicts) = $0 { verdicts } else { nil } }
    }

    @discardableResult
    func commit(
        _ message: ReceivedMessage, _ step: Commit.Step, writes: [ResultWrite] = [], publications: [TaskPublication] = []
    ) throws -> Bool {
        let taskID = message.taskID ?? ""
        return try commit([
            Commit(message.tag, queue: message.queue, step, taskID: taskID, writes: writes, publications: publications)
        ]) == [true]
    }

    func lost() throws -> String {
        try seat.next("lost") { if case .lost(let reason) = $0 { reason } else { nil } }
    }

    func close() throws -> String {
        session.close()
        return try lost()
    }
}

extension ReceivedMessage {
    var taskID: String? {
        switch content {
        case .success(let message): message.id
        case .failure(let defect): defect.taskID
        }
    }

    /// The task's id, or why there is none.
    var id: String {
        switch content {
        case .success(let message): message.id
        case .failure(let defect): "defect: \(defect.reason)"
        }
    }
}

extension TaskPublication {
    /// A message that is recognised by its id.
    static func named(_ id: String, queue: String = "celery", priority: Int = 0, padding: Int = 0) -> TaskPublication {
        let arguments: [JSONValue] = [.string(String(repeating: "x", count: padding))]
        var publication = TaskPublication.call(
            id: id, task: "example.add", arguments: arguments, keywords: JSONObject(), eta: nil, queue: queue, origin: "test")
        publication.priority = priority
        return publication
    }
}

extension ResultWrite {
    static func named(_ taskID: String, _ state: TaskState, _ text: String = "null") -> ResultWrite {
        ResultWrite(ResultRecord(taskID: taskID, state: state, result: Array(text.utf8)))
    }
}
