import Testing

@testable import CoppiceEventLoop

/// A status is one line of a datagram that systemd takes, whatever stands in it.
@Suite struct ServiceNotifierTests {
    @Test func noWordOfAMessageBeginsAnAssignment() {
        #expect(ServiceNotifier.line("ready: 2/2 children ready, naïve") == "ready: 2/2 children ready, naïve")
        #expect(ServiceNotifier.line("x\nWATCHDOG=trigger\r\u{85}\u{2028}y") == "x\\u{a}WATCHDOG=trigger\\u{d}\\u{85}\\u{2028}y")
    }

    @Test func aLongOneIsCutBetweenCharacters() {
        for before in 0..<4 {
            let line = ServiceNotifier.line(String(repeating: "x", count: before) + String(repeating: "漢", count: 100_000))
            #expect((ServiceNotifier.longestStatus - 3...ServiceNotifier.longestStatus + 3).contains(line.utf8.count))
            #expect(line.hasSuffix("漢…") && !line.contains("\u{fffd}"))
        }
    }
}
