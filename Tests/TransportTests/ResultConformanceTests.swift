import CoppiceResults
import CoppiceShared
import CoppiceSystem
import Testing

/// What every result store does.
@Suite struct ResultConformanceTests {
    @Test(arguments: Broker.allCases) func whatIsStoredIsFoundBySomebodyElse(broker: Broker) throws {
        let scene = try BrokerScene(broker)
        #expect(try scene.store().fetch("1") == nil)
        let store = try scene.store()
        try store.put([.named("1", .started), .named("2", .failure, "{\"exc_type\": \"ValueError\"}")])
        #expect(try scene.store().fetch("1") == .init(state: "STARTED", result: .null))
        #expect(try scene.store().fetch("2") == .init(state: "FAILURE", result: ["exc_type": "ValueError"]))
    }

    @Test(arguments: Broker.allCases) func successIsFinal(broker: Broker) throws {
        let scene = try BrokerScene(broker)
        let store = try scene.store()
        try store.put([.named("1", .success, "1")])
        for state in [TaskState.started, .failure, .retry, .revoked, .pending] { try store.put([.named("1", state)]) }
        #expect(try store.fetch("1") == .init(state: "SUCCESS", result: 1))
        try store.put([.named("1", .success, "2")])
        #expect(try store.fetch("1") == .init(state: "SUCCESS", result: 2))
        try store.put([.named("2", .failure), .named("2", .retry), .named("2", .success, "3")])
        #expect(try store.fetch("2") == .init(state: "SUCCESS", result: 3))
    }

    @Test(arguments: Broker.allCases) func watchersHearOfChanges(broker: Broker) throws {
        let scene = try BrokerScene(broker)
        let watcher = try scene.store()
        let writer = try scene.store()
        watcher.store.watch("1")
        // "From now on" includes whatever is stored after the next order's answer.
        var last = try watcher.fetch("1")
        #expect(last == nil)
        func expectChange(to state: String, _ number: Int) throws {
            last = try watcher.change("1", from: last)
            #expect(last == .init(state: state, result: .int(number)))
        }
        for number in 1...3 {
            try writer.put([.named("1", TaskState("PROGRESS"), "\(number)"), .named("other", .started)])
            try expectChange(to: "PROGRESS", number)
        }
        try writer.put([.named("1", .success, "4")])
        try expectChange(to: "SUCCESS", 4)
        try watcher.put([.named("1", .success, "5")])
        try expectChange(to: "SUCCESS", 5)
        #expect(watcher.seat.popFirst { if case .record("other", _) = $0 { true } else { nil } } == nil, "nothing of the other task")
    }

    @Test(arguments: Broker.allCases) func largeRecordsAreKept(broker: Broker) throws {
        let scene = try BrokerScene(broker)
        let text = JSONValue.string(String(repeating: "x", count: 3_000_000))
        try scene.store().put([.named("1", .success, text.text)])
        #expect(try scene.store().fetch("1")?.result == text)
    }
}
