import CoppiceRedis
import CoppiceShared
import CoppiceSystem
import CoppiceTransport
import Foundation
import Testing

/// What many nodes that have nothing to do cost their Redis. `make bench-nodes` runs it and prints the figures; it is no test of the suite.
@Suite(.ownThread, .serialized, .enabled(if: ProcessInfo.processInfo.environment["COPPICE_BENCH_NODES"] != nil)) struct ManyNodesTests {
    private static let seconds = 10.0
    /// Early tasks that each node runs.
    private static let started = 8

    @Test(arguments: [25, 50, 100]) func idleNodes(_ count: Int) throws {
        let fixture = try RedisFixture()
        let scene = BrokerScene(fixture)
        let nodes = try (0..<count).map { try scene.session(node: "celery@node-\($0)") }
        for node in nodes {
            var command = RedisCommand("HSET", "coppice.started")
            for number in 0..<Self.started {
                command.append("\(node.incarnation.id):\(1_000_000 + number):0")
                command.append(#"[{},"","celery"]"#)
            }
            _ = try fixture.ask(command)
        }
        try scene.stage.pass(seconds: 3)
        let before = try figures(fixture)
        let cpu = clock()
        try scene.stage.pass(seconds: Self.seconds)
        let own = Double(clock() - cpu) / Double(CLOCKS_PER_SEC)
        let after = try figures(fixture)
        func rate(_ name: String) -> Double { ((after[name] ?? 0) - (before[name] ?? 0)) / Self.seconds }
        let server = (rate("used_cpu_user") + rate("used_cpu_sys")) * 1000
        print(
            String(
                format:
                    "%3d nodes: server %6.2f ms CPU/s, sent %8.0f bytes/s, %6.0f commands/s; a node %5.2f ms CPU/s, hears %6.0f bytes/s",
                count, server, rate("total_net_output_bytes"), rate("total_commands_processed"),
                own / Self.seconds * 1000 / Double(count), rate("total_net_output_bytes") / Double(count)))
    }

    private func figures(_ fixture: RedisFixture) throws -> [String: Double] {
        var found: [String: Double] = [:]
        for line in (try fixture.ask(RedisCommand("INFO")).text ?? "").split(whereSeparator: \.isNewline) {
            let sides = line.split(separator: ":")
            if sides.count == 2, let value = Double(sides[1]) { found[String(sides[0])] = value }
        }
        return found
    }
}
