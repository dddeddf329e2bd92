import CoppiceRedis
import CoppiceShared
import CoppiceSystem
import Testing

/// What counts as a server's silence.
@Suite(.ownThread) struct RedisConnectionTests {
    @Test func aLongReplyIsNoSilenceOfTheNext() throws {
        let fixture = try RedisFixture()
        _ = try fixture.ask(RedisCommand("SETRANGE", "long", String(16 << 20), "x"))
        let connection = RedisConnection(fixture.url, clientName: "test", now: .now)
        let stage = Stage()
        let seat = stage.add(connection) { connection.takeEvents() }
        try seat.next("open") { if case .open = $0 { true } else { nil } }
        var clock = MonotonicTime.now
        let end = clock.advanced(by: 15)
        connection.send(RedisCommand("GET", "long"), label: 1, now: clock)
        connection.send(RedisCommand("BLPOP", "nothing", "0"), label: 2, now: clock)
        connection.flush()
        // Each piece is said to come a second later.
        var isAnswered = false
        while !isAnswered, MonotonicTime.now < end {
            clock = clock.advanced(by: 1)
            for happened in try Poll.wait(connection.interests, until: end) {
                connection.ready(happened.descriptor, happened.events, now: clock)
            }
            isAnswered = connection.takeEvents().contains { if case .reply = $0 { true } else { false } }
        }
        #expect(isAnswered)
        #expect(try #require(connection.deadline).seconds(since: clock) > RedisConnection.replyTimeout - 0.1)
        connection.close()
    }
}
