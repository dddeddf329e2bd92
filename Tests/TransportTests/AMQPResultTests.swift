import CoppiceAMQP
import CoppiceResults
import CoppiceShared
import CoppiceSystem
import CoppiceTransport
import Testing

/// `rpc://`: results go to who asked.
@Suite(.ownThread) struct AMQPResultTests {
    private func write(_ id: String, _ state: TaskState, _ result: String = "null", to queue: String?, as correlation: String? = nil)
        -> ResultWrite
    {
        var write = ResultWrite.named(id, state, result)
        write.replyTo = queue
        write.correlationID = correlation
        return write
    }

    @Test func everyStateReachesTheCallerAndNobodyElse() throws {
        let fixture = try RabbitMQFixture()
        let stage = Stage()
        let caller = try StoreSeat(stage, AMQPResultStore(fixture.url, replyQueue: "caller")).stand()
        let other = try StoreSeat(stage, AMQPResultStore(fixture.url, replyQueue: "other")).stand()
        let master = try StoreSeat(stage, AMQPResultStore(fixture.url)).stand()
        caller.store.watch("1")
        try master.put([write("1", .started, to: "caller"), write("1", .success, "5", to: "caller"), write("2", .success, to: "other")])
        #expect(try caller.record("1")?.state == "STARTED")
        #expect(try caller.record("1") == .init(state: "SUCCESS", result: 5))
        #expect(try caller.fetch("1") == .init(state: "SUCCESS", result: 5))
        #expect(try caller.fetch("2") == nil)
        try stage.wait("the other's") {
            other.store.fetch("2"); return other.seat.popFirst { if case .record("2", .some) = $0 { true } else { nil } }
        }
        #expect(try master.fetch("1") == nil)
        // A late state changes nothing any more.
        try master.put([write("1", .retry, to: "caller"), write("3", .success, to: "caller")])
        caller.store.watch("3")
        #expect(try caller.record("3")?.state == "SUCCESS")
        #expect(try caller.fetch("1")?.state == "SUCCESS")
    }

    @Test func nobodyToTellIsNoTrouble() throws {
        let fixture = try RabbitMQFixture()
        let stage = Stage()
        let master = try StoreSeat(stage, AMQPResultStore(fixture.url)).stand()
        try master.put([write("1", .success, to: nil), write("2", .success, to: ""), write("3", .success, to: "gone")])
        try master.put([write("4", .success, to: nil)])
        try master.put([])
    }

    @Test func theMessageIsCelerys() throws {
        let fixture = try RabbitMQFixture()
        try fixture.ask([.queueDeclare("caller")])
        let stage = Stage()
        let master = try StoreSeat(stage, AMQPResultStore(fixture.url)).stand()
        try master.put([write("1", .success, "5", to: "caller"), write("2", .success, to: "caller", as: "other")])
        let connection = AMQPConnection(fixture.url, clientName: "test", messageLimit: 1 << 20, now: .now)
        let seat = stage.add(connection) { connection.takeEvents() }
        try seat.next("open") { if case .open = $0 { true } else { nil } }
        try connection.send(.channelOpen, on: 1, now: .now)
        try connection.send(.consume(queue: "caller", tag: "c", noAck: true), on: 1, now: .now)
        let messages = try (0..<2).map { _ in
            try seat.next("delivery") { if case .delivery(_, let delivery) = $0 { delivery } else { nil } }
        }
        #expect(messages.map(\.properties.correlationID) == ["1", "other"])
        for message in messages {
            let properties = message.properties
            #expect(properties.contentType == "application/json" && properties.contentEncoding == "utf-8")
            #expect(properties.deliveryMode == 1 && properties.priority == 0 && properties.headers == [:])
            #expect(message.exchange == "")
        }
        #expect(try JSONValue(parsing: messages[0].body)["result"] == 5)
    }
}
