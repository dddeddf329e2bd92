import CoppiceShared
import CoppiceTestSupport
import Testing

@Suite struct ISO8601Tests {
    @Test(arguments: [
        ("1970-01-01T00:00:00+00:00", 0), ("1970-01-01", 0), ("1970-01-01 00:00:01", 1_000_000),
        ("2026-11-22T12:29:43.173301+00:00", 1_795_350_583_173_301), ("2026-11-22T12:29:43Z", 1_795_350_583_000_000),
        ("2026-11-22T13:29:43+01:00", 1_795_350_583_000_000), ("2026-11-22T06:59:43-05:30", 1_795_350_583_000_000),
        ("2026-11-22T12:29:43.1733019", 1_795_350_583_173_301), ("2000-02-29T00:00:00Z", 951_782_400_000_000),
        ("1969-12-31T23:59:59.5Z", -500_000),
    ])
    func isRead(_ text: String, _ microseconds: Int64) {
        #expect(ISO8601.parse(text) == WallTime(microseconds: microseconds))
    }

    @Test(arguments: [
        "", "2026", "2026-13-01", "2026-02-30", "2025-02-29T00:00:00Z", "2026-11-22T25:00:00", "2026-11-22T12", "2026-11-22T12:00:00.",
        "2026-11-22T12:00:00+", "2026-11-22T12:00:00+99:00", "2026-11-22T12:00:00Zx", "1732278583", "٢٠٢٦-11-22", "2026-11-22T12:00:0x",
        // The offset leads out of the years that four digits can say.
        "9999-12-31T23:59:59-00:01", "0001-01-01T00:00:00+00:01", "0000-06-01",
    ])
    func badTimesAreNil(_ text: String) { #expect(ISO8601.parse(text) == nil) }

    @Test func isWrittenAsPythonDoes() {
        #expect(ISO8601.format(WallTime(microseconds: 1_795_350_583_173_301)) == "2026-11-22T12:29:43.173301+00:00")
        #expect(ISO8601.format(WallTime(microseconds: 1_795_350_583_000_000)) == "2026-11-22T12:29:43+00:00")
    }

    @Test func whatFourDigitsCannotSayIsTheNearestThatTheyCan() {
        #expect(ISO8601.format(WallTime(microseconds: .max)) == "9999-12-31T23:59:59.999999+00:00")
        #expect(ISO8601.format(WallTime(microseconds: .min)) == "0001-01-01T00:00:00+00:00")
    }

    @Test func everyTimeComesBack() {
        var random = SeededGenerator()
        for _ in 0..<2000 {
            let time = WallTime(microseconds: .random(in: -60_000_000_000_000_000...200_000_000_000_000_000, using: &random))
            #expect(ISO8601.parse(ISO8601.format(time)) == time, "seed \(random.seed)")
        }
    }
}
