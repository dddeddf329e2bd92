import CoppiceEventLoop
import CoppiceShared
import CoppiceSystem
import Logging
import Testing

@testable import CoppiceSupervisor

/// What the log is told of a server that is away, refuses us, or comes and goes.
@Suite struct LinkStateTests {
    private final class Lines: @unchecked Sendable {
        var texts: [String] = []
    }

    private struct Collector: LogHandler {
        let lines: Lines
        var logLevel = Logger.Level.trace
        var metadata: Logger.Metadata = [:]
        subscript(metadataKey key: String) -> Logger.Metadata.Value? {
            get { metadata[key] }
            set { metadata[key] = newValue }
        }
        func log(event: LogEvent) { lines.texts.append("\(event.level) \(event.message)") }
    }

    private let lines = Lines()
    private let loop: EventLoop
    private let state: LinkState

    init() throws {
        let lines = lines
        loop = try EventLoop()
        let log = Logger(label: "test") { _ in Collector(lines: lines) }
        state = try LinkState("broker", at: "amqp://host", loop: loop, log: log)
    }

    @Test func aRefusalIsSaidAtOnceAndThenOnceAMinuteWithTheCount() {
        var now = MonotonicTime.now
        for _ in 0..<181 {
            state.lost("the server refuses the password", now: now)
            now = now.advanced(by: 1)
        }
        let text = "error Can't reach the broker amqp://host: the server refuses the password; trying again"
        #expect(lines.texts == [text] + Array(repeating: text + " (60 times since this was last said)", count: 3))
        state.lost("it is another reason", now: now)
        #expect(lines.texts.last == "error Can't reach the broker amqp://host: it is another reason; trying again")
    }

    @Test func aConnectionThatStandsAndFallsIsSaidOnceAMinute() {
        var now = MonotonicTime.now
        for _ in 0..<61 {
            state.stood(now: now)
            now = now.advanced(by: 0.5)
            state.lost("403", now: now)
            now = now.advanced(by: 0.5)
        }
        let (lost, again) = ("error Lost the broker amqp://host: 403; trying again", "warning Connected to the broker amqp://host again")
        #expect(
            lines.texts == [
                "info Connected to the broker amqp://host", lost, again,
                "error Lost the broker amqp://host: 403; trying again (60 times since this was last said)",
            ])
    }

    @Test func aLossAfterAWhileIsAlwaysSaid() {
        var now = MonotonicTime.now
        for _ in 0..<3 {
            state.stood(now: now)
            now = now.advanced(by: Backoff.proof)
            state.lost("cut", now: now)
        }
        let (lost, again) = ("error Lost the broker amqp://host: cut; trying again", "warning Connected to the broker amqp://host again")
        #expect(lines.texts == ["info Connected to the broker amqp://host", lost, again, lost, again, lost])
    }
}
