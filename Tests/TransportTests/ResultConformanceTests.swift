import CoppiceResults
import CoppiceShared
import CoppiceSystem
import Testing

/// What every result store does.
@Suite(.ownThread) struct ResultConformanceTests {
    @Test(arguments: Broker.keepers) func whatIsStoredIsFoundBySomebodyElse(broker: Broker) throws {
        let scene = try BrokerScene(broker)
        #expect(try scene.store().fetch("1") == nil)
        let store = try scene.store()
        try store.put([.named("1", .started), .named("2", .failure, "{\"exc_type\": \"ValueError\"}")])
        #expect(try scene.store().fetch("1") == .init(state: "STARTED", result: .null))
        #expect(try scene.store().fetch("2") == .init(state: "FAILURE", result: ["exc_type": "ValueError"]))
    }

    @Test(arguments: Broker.keepers) func successIsFinal(broker: Broker) throws {
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

    @Test(arguments: Broker.keepers) func watchersHearOfChanges(broker: Broker) throws {
        let scene = try BrokerScene(broker)
        let watcher = try scene.store()
        let writer = try scene.store()
        watcher.store.watch("1")
        /// The next record that is not the last one once more, nor the nothing that stood at first.
        var last: StoreSeat.Record?
        func news() throws -> StoreSeat.Record? {
            while true {
                let record = try watcher.record("1")
                guard let record, record != last else { continue }
                last = record
                return record
            }
        }
        for number in 1...3 {
            try writer.put([.named("1", TaskState("PROGRESS"), "\(number)"), .named("other", .started)])
            #expect(try news() == .init(state: "PROGRESS", result: .int(number)))
        }
        try writer.put([.named("1", .success, "4")])
        #expect(try news() == .init(state: "SUCCESS", result: 4))
        try watcher.put([.named("1", .success, "5")])
        #expect(try news() == .init(state: "SUCCESS", result: 5))
        #expect(!watcher.seat.inbox.contains { if case .record("other", _) = $0 { true } else { false } }, "nothing of the other task")
    }

    @Test(arguments: Broker.keepers) func largeRecordsAreKept(broker: Broker) throws {
        let scene = try BrokerScene(broker)
        let text = JSONValue.string(String(repeating: "x", count: 3_000_000))
        try scene.store().put([.named("1", .success, text.text)])
        #expect(try scene.store().fetch("1")?.result == text)
    }
}
