import CoppiceShared
import CoppiceSystem
import CoppiceTransport

/// Questions to the nodes over Celery's remote control.
extension Client {
    /// Asks nodes and collects their answers until all that can have heard the question have answered, or the time is over.
    ///
    /// - Parameters:
    ///   - destination: nodes' names; nil: all.
    ///   - timeout: seconds.
    /// - Returns: answers in the order in which they came, one a node: of several nodes of one name those that say
    ///   who they are, by an `id`. (Python's workers may answer twice.)
    public func ask(
        _ method: String, _ arguments: JSONObject = JSONObject(), of destination: [String]? = nil, timeout: Double
    ) throws(ClientError) -> [(node: String, answer: JSONValue)] {
        let caller = broker.openCaller()
        let peer = "the broker \(broker)"
        var deadline = MonotonicTime.now.advanced(by: Client.patience)
        var wasAsked = false
        var expected = Int.max
        var answers: [(node: String, answer: JSONValue)] = []
        while !wasAsked || answers.count < expected && .now < deadline {
            for event in caller.takeEvents() {
                switch event {
                case .standing:
                    caller.call([
                        "method": .string(method), "arguments": .object(arguments),
                        "destination": destination.map { .array($0.map { .string($0) }) } ?? nil, "pattern": nil, "matcher": nil,
                    ])
                case .asked(let nodes):
                    wasAsked = true
                    expected = min(nodes, destination?.count ?? nodes)
                    deadline = MonotonicTime.now.advanced(by: timeout)
                case .answer(let body):
                    for (node, answer) in (try? JSONValue(parsing: body))?.object?.members ?? []
                    where !answers.contains(where: { $0.node == node && $0.answer["id"] == answer["id"] }) {
                        answers.append((node, answer))
                    }
                case .lost(let reason): throw ClientError("\(peer): \(reason)")
                }
            }
            if wasAsked, answers.count >= expected { break }
            try turn(caller, until: deadline, wasAsked ? nil : peer)
        }
        close(caller)
        return answers
    }

    /// Best effort: what is left behind is an empty name.
    private func close(_ caller: any ControlCaller) {
        caller.close()
        let deadline = MonotonicTime.now.advanced(by: 1)
        while MonotonicTime.now < deadline {
            for case .lost in caller.takeEvents() { return }
            guard (try? Poll.turn([caller], until: deadline)) != nil else { return }
        }
    }
}
