import CoppiceShared
import Testing

@testable import CoppiceSupervisor

/// The forms of a record: Celery's line, the JSON line, the journal's entry. A text may hold anything.
struct LogFormTests {
    private func record(_ text: String, _ fields: JSONObject = [:]) -> LogRecord {
        LogRecord(time: WallTime(microseconds: 1_795_350_583_173_301), level: .warning, text: text, fields: fields)
    }

    private let childs: JSONObject = [
        LogField.slot: .int(3), LogField.stream: "stdout", LogField.taskID: "id-1", LogField.taskName: "a.b",
    ]

    private func human(_ record: LogRecord) -> String { String(decoding: HumanLine().bytes(record), as: UTF8.self) }

    @Test func aLineOfTheMasterIsCelerys() {
        let line = human(record("up"))
        #expect(line.wholeMatch(of: /\[\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,173: WARNING\/MainProcess\] up\n/) != nil, "\(line)")
    }

    @Test func aLineOfAChildHasItsTask() {
        #expect(human(record("up", childs)).hasSuffix(": WARNING/Child-3] a.b[id-1]: up\n"))
        #expect(human(record("up", [LogField.slot: .int(3), LogField.stream: "stderr"])).hasSuffix(": WARNING/Child-3] up\n"))
    }

    @Test(arguments: ["\n", "\r\n"]) func noTextForgesALine(newline: String) {
        let line = human(record("one\(newline)[2026-11-22 00:00:00,000: ERROR/MainProcess] two"))
        #expect(line.hasSuffix("one\n    [2026-11-22 00:00:00,000: ERROR/MainProcess] two\n"))
    }

    @Test(arguments: ["\u{1b}[2J", "\u{9b}2J", "a\rb", "\u{8}", "\u{2028}", "\u{202e}", "\u{0}", "\u{7f}"]) func noTextSteersATerminal(
        text: String
    ) {
        let line = human(record(text))
        #expect(
            !line.unicodeScalars.dropLast().contains {
                $0.properties.generalCategory == .control || $0.value >= 0x2028 && $0.value < 0x2030
            })
        #expect(line.contains("\\u{"))
    }

    @Test(
        arguments: [(0, "0.0"), (0.000_031, "0.000031"), (0.0053, "0.0053"), (2, "2.0"), (0.999_999_6, "1.0"), (86_400.25, "86400.25")]
            as [(Double, String)])
    func secondsHaveNoExponent(_ seconds: Double, _ text: String) {
        #expect(Seconds.text(seconds) == text)
        let entry = JournalEntry(record("up", [LogField.runtime: .double(seconds)]), node: "n")
        #expect(String(decoding: entry.bytes, as: UTF8.self).contains("COPPICE_RUNTIME=\(text)\n"))
    }

    @Test func tabsAndOtherScriptsStayAsTheyAre() { #expect(human(record("a\tb äß 漢字 🎉")).hasSuffix("] a\tb äß 漢字 🎉\n")) }

    @Test func aJSONLineIsOneObjectWithItsFields() throws {
        let text = "say \"x\\y\"\n\r\t\u{1b}\u{0} é 🎉 \u{2028}"
        let bytes = JSONLine(node: "celery@n").bytes(record(text, childs))
        #expect(bytes.count { $0 == 0x0A } == 1 && bytes.last == 0x0A)
        #expect(bytes.allSatisfy { $0 == 0x0A || 0x20..<0x7F ~= $0 })
        let object = try #require(try JSONValue(parsing: bytes).object)
        #expect(
            object == [
                "v": .int(1), "time": "2026-11-22T12:29:43.173301+00:00", "level": "warning", "node": "celery@n", "message": .string(text),
                "slot": .int(3), "stream": "stdout", "task_id": "id-1", "task_name": "a.b",
            ])
    }

    @Test func aJournalEntryHasFieldsAndLengthsWhereValuesHaveNewlines() {
        var fields = childs
        fields.append("bad-name", "x")
        let text = "one\nCOPPICE_TASK_ID=forged"
        var expected = Array("MESSAGE\n".utf8)
        let message = "a.b[id-1]: \(text)"
        expected += [UInt8(message.utf8.count), 0, 0, 0, 0, 0, 0, 0] + Array(message.utf8)
        expected += Array(
            """

            PRIORITY=4
            SYSLOG_IDENTIFIER=coppice
            COPPICE_NODE=celery@n
            COPPICE_SLOT=3
            COPPICE_STREAM=stdout
            COPPICE_TASK_ID=id-1
            COPPICE_TASK_NAME=a.b

            """.utf8)
        #expect(JournalEntry(record(text, fields), node: "celery@n").bytes == expected)
    }
}
