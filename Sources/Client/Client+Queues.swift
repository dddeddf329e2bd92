import CoppiceShared
import CoppiceSystem
import CoppiceTransport

/// What an operator does to the broker's queues.
extension Client {
    /// How these queues stand, or all that the broker can name.
    public func queues(_ names: [String]?) throws(ClientError) -> [QueueState] {
        try operate(at: broker, { $0.survey(names) }) { if case .queues(let states) = $0 { states } else { nil } }
    }

    /// Removes what no node holds from a queue; returns how many messages waited, and how many were parked.
    public func purge(_ queue: String) throws(ClientError) -> (waiting: Int, parked: Int) {
        try operate(at: broker, { $0.purge(queue) }) { if case .purged(let waiting, let parked) = $0 { (waiting, parked) } else { nil } }
    }

    /// Moves messages to the end of another queue, at most `count`, batch after batch.
    ///
    /// - Parameter progress: called after each batch with how many have been moved.
    /// - Returns: how many were moved.
    public func move(from: String, to: String, upTo count: Int, progress: (Int) -> Void) throws(ClientError) -> Int {
        let operations = try standingOperations(at: broker)
        var moved = 0
        while moved < count {
            operations.move(from: from, to: to, upTo: count - moved)
            let batch = try answer(of: operations, at: broker) { if case .moved(let count) = $0 { count } else { nil } }
            if batch == 0 { break }
            moved += batch
            progress(moved)
        }
        return moved
    }

    func operate<Answer>(
        at place: BrokerEndpoint, _ order: (any QueueOperations) -> Void, _ pick: (QueueEvent) -> Answer?
    ) throws(ClientError) -> Answer {
        let operations = try standingOperations(at: place)
        order(operations)
        return try answer(of: operations, at: place, pick)
    }

    func standingOperations(at place: BrokerEndpoint) throws(ClientError) -> any QueueOperations {
        let operations = place.openOperations()
        try answer(of: operations, at: place) { if case .standing = $0 { () } else { nil } }
        return operations
    }

    /// Waits for one event. Each has its own patience: a long work is many of them.
    func answer<Answer>(
        of operations: any QueueOperations, at place: BrokerEndpoint, _ pick: (QueueEvent) -> Answer?
    ) throws(ClientError) -> Answer {
        let deadline = MonotonicTime.now.advanced(by: Client.patience)
        while true {
            for event in operations.takeEvents() {
                if case .lost(let reason) = event { throw ClientError("the broker \(place): \(reason)") }
                if let answer = pick(event) { return answer }
            }
            try turn(operations, until: deadline, "the broker \(place)")
        }
    }
}
