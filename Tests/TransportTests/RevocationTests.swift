import CoppiceRedis
import CoppiceSQLite
import CoppiceShared
import CoppiceSystem
import Testing

@testable import CoppiceTransport

/// An id that is revoked again is remembered as long as one that is revoked now, and told once more; but not at once.
@Suite(.ownThread) struct RevocationTests {
    @Test func onRedis() throws {
        let fixture = try RedisFixture()
        let scene = BrokerScene(fixture)
        let month = 29 * 86400 * 1_000_000
        let time = try fixture.ask(RedisCommand("TIME")).array ?? []
        let old = String((Int(time.first?.text ?? "") ?? 0) * 1_000_000 - month)
        _ = try fixture.ask(RedisCommand("ZADD", "coppice.revoked", old, "1"))
        func mark() throws -> String? { try fixture.ask(RedisCommand("ZSCORE", "coppice.revoked", "1")).text }
        try scene.revoke(["1"])
        let renewed = try #require(try mark())
        #expect((Double(renewed) ?? 0) - (Double(old) ?? 0) >= Double(month))
        // As many nodes do that hear of one order.
        try scene.revoke(["1"])
        #expect(try mark() == renewed)
    }

    @Test func inAFile() throws {
        let fixture = try SQLiteFixture()
        let scene = BrokerScene(fixture)
        try scene.revoke(["1", "2"])
        let rows = RevocationRows(try StoreFile.open(fixture.path))
        #expect(try rows.since(0).ids == ["1", "2"])
        try rows.store(["1"], now: .now)
        #expect(try rows.since(0).ids == ["1", "2"], "not within seconds")
        try rows.store(["1"], now: WallTime.now.advanced(by: 100))
        #expect(try rows.since(0).ids == ["2", "1"])
        // A month after the first time, not after the second.
        try rows.store(["3"], now: WallTime.now.advanced(by: Double(Revocations.lifetime) + 50))
        #expect(try rows.since(0).ids == ["1", "3"])
    }
}
