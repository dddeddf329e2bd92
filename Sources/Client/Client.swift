import CoppiceResults
import CoppiceShared
import CoppiceSystem
import CoppiceTransport

/// Sends calls and control requests and reads results, over connections of its own. Each call waits, at most for as long as it says.
public final class Client {
    /// Seconds in which a server must be reached and an order confirmed.
    public static let patience = 10.0

    let broker: BrokerEndpoint
    let ledger: BrokerEndpoint
    private let results: ResultEndpoint

    /// - Parameter ledger: where dead letters and revocations stand, if that is not with the broker, as with RabbitMQ.
    public init(broker: BrokerEndpoint, results: ResultEndpoint, ledger: BrokerEndpoint? = nil) {
        self.broker = broker
        self.results = results
        self.ledger = ledger ?? broker
    }

    /// Sends a call; it is with the broker when this returns.
    public func send(_ publication: TaskPublication) throws(ClientError) { try send([publication]) }

    /// Sends calls; they are with the broker when this returns.
    public func send(_ publications: [TaskPublication]) throws(ClientError) {
        guard !publications.isEmpty else { return }
        try order(at: broker, answers: publications.count) { for publication in publications { $0.publish(publication) } }
    }

    /// Sends a control request to every node that is up; wants no reply.
    public func broadcast(_ method: String, _ arguments: JSONObject) throws(ClientError) {
        let request: JSONValue = [
            "method": .string(method), "arguments": .object(arguments), "destination": nil, "pattern": nil, "matcher": nil,
        ]
        try order(at: broker, creates: false) { $0.broadcast(request.bytes) }
    }

    /// Stores a task as revoked, whether a node is up or not, and tells those that are.
    ///
    /// - Parameter signal: ends the task if it runs; nil: it is left running.
    public func revoke(_ id: String, signal: String?) throws(ClientError) {
        var arguments = JSONObject()
        arguments.append("task_id", .string(id))
        arguments.append("terminate", .bool(signal != nil))
        if let signal { arguments.append("signal", .string(signal)) }
        // Where there is no broker no task was sent; a ledger of its own may not have been needed yet.
        try order(at: ledger, creates: ledger != broker) { $0.revoke([id]) }
        try broadcast("revoke", arguments)
    }

    /// - Parameter answers: how many orders `body` gives; each has its own patience.
    private func order(
        at place: BrokerEndpoint, creates: Bool = true, answers: Int = 1, _ body: (any MessageSender) -> Void
    ) throws(ClientError) {
        let sender = place.openSender(creates: creates)
        var deadline = MonotonicTime.now.advanced(by: Client.patience)
        var left = answers
        while true {
            for event in sender.takeEvents() {
                switch event {
                case .standing: body(sender)
                case .sent:
                    left -= 1
                    if left == 0 { return }
                    deadline = MonotonicTime.now.advanced(by: Client.patience)
                case .refused(let reason): throw ClientError(reason)
                case .lost(let reason): throw ClientError("the broker \(place): \(reason)")
                }
            }
            try turn(sender, until: deadline, "the broker \(place)")
        }
    }

    /// Waits until the task is ready and returns its record, or nil when the time is over. Looks once at least.
    ///
    /// - Parameters:
    ///   - timeout: seconds, 0 for one look; nil: for as long as it takes.
    ///   - changed: called with every record that is seen on the way.
    public func result(of taskID: String, timeout: Double?, changed: (StoredResult) -> Void) throws(ClientError) -> StoredResult? {
        let store = results.open()
        let deadline = timeout.map { MonotonicTime.now.advanced(by: $0) } ?? .distantFuture
        let firstAnswer = MonotonicTime.now.advanced(by: Client.patience)
        var hasLooked = false
        while true {
            for event in store.takeEvents() {
                switch event {
                case .standing:
                    store.watch(taskID)
                    store.fetch(taskID)
                case .record(_, let text):
                    hasLooked = true
                    guard let text, let result = StoredResult(text) else { break }
                    changed(result)
                    if result.state.isReady { return result }
                case .stored, .refused, .notice: break
                case .lost(let reason): throw ClientError("the result store \(results): \(reason)")
                }
            }
            if hasLooked, deadline <= .now { return nil }
            try turn(store, until: hasLooked ? deadline : firstAnswer, hasLooked ? nil : "the result store \(results)")
        }
    }

    /// The records of tasks as they stand now; nothing of those that have none.
    public func results(of taskIDs: [String]) throws(ClientError) -> [(id: String, result: StoredResult)] {
        let store = results.open()
        var deadline = MonotonicTime.now.advanced(by: Client.patience)
        var left = taskIDs.count
        var found: [(String, StoredResult)] = []
        while left > 0 {
            for event in store.takeEvents() {
                switch event {
                case .standing: for id in taskIDs { store.fetch(id) }
                case .record(let id, let text):
                    left -= 1
                    if let text, let result = StoredResult(text) { found.append((id, result)) }
                    deadline = MonotonicTime.now.advanced(by: Client.patience)
                case .stored, .refused, .notice: break
                case .lost(let reason): throw ClientError("the result store \(results): \(reason)")
                }
            }
            if left > 0 { try turn(store, until: deadline, "the result store \(results)") }
        }
        return found
    }

    /// One turn. What it brings is read before the next one, which finds the deadline reached.
    ///
    /// - Parameter peer: named in the error when the deadline is reached; nil: reaching it is no error.
    func turn(_ pollable: any Pollable, until deadline: MonotonicTime, _ peer: String?) throws(ClientError) {
        if let peer, deadline <= .now { throw ClientError("\(peer) does not answer") }
        do { try Poll.turn([pollable], until: deadline) } catch { throw ClientError("\(error)") }
    }
}
