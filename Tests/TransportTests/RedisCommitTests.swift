import CoppiceRedis
import CoppiceShared
import Testing

@testable import CoppiceTransport

/// What the commit script is given.
@Suite(.ownThread) struct RedisCommitTests {
    @Test func theMastersClockDoesNotMatterToParking() throws {
        let fixture = try RedisFixture()
        let scene = BrokerScene(fixture)
        let session = try scene.session()
        let message = try #require(try scene.taken(by: session, "1"))
        let digest = try #require(try fixture.ask(RedisCommand("SCRIPT", "LOAD", RedisScripts.text(.commit))).text)
        let keys = RedisKeys(fixture.url)
        var command = RedisCommand("EVALSHA", digest, "7", keys.unacked, keys.unackedIndex, keys.started)
        command.append(contentsOf: [keys.dead, keys.deadMessages, keys.deadOrder, keys.deadSize])
        command.append(contentsOf: ["60", "celery-task-meta-", "0", "0", "10", "1000", keys.attempts, "60"])
        // A master whose clock is fast.
        let now = WallTime.now.advanced(by: 100)
        var commit = RedisCommit(command, keys: keys)
        commit.append(Commit(message.tag, queue: "celery", .park(until: now.advanced(by: 5))), now: now)
        #expect(try fixture.ask(commit.command).array?.first?.text == "1")
        for key in [keys.parked("celery"), keys.unackedIndex] {
            let parked = try fixture.ask(RedisCommand("ZRANGE", key, "0", "-1", "WITHSCORES")).array ?? []
            let due = try #require(parked.last?.text.flatMap { Double($0) })
            #expect(abs(due - WallTime.now.seconds - 5) < 2)
        }
    }
}
