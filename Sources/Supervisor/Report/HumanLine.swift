import CoppiceShared
import Glibc

/// A line as Celery's worker writes it: `[2026-11-22 12:29:45,867: INFO/MainProcess] text`. What a child says carries its task:
/// `[…: WARNING/Child-2] example.add[<id>]: text`.
struct HumanLine {
    func bytes(_ record: LogRecord) -> [UInt8] {
        var out: [UInt8] = [UInt8(ascii: "[")]
        HumanLine.append(record.time, to: &out)
        let level = record.level == .notice ? "INFO" : record.level.rawValue.uppercased()
        out.append(contentsOf: ": \(level)/\(record.isChilds ? "Child-\(record.slot)" : "MainProcess")] ".utf8)
        out.append(contentsOf: HumanLine.safe(HumanLine.text(record)).utf8)
        out.append(UInt8(ascii: "\n"))
        return out
    }

    /// The text with the task that a child's line belongs to; the master's own name theirs.
    static func text(_ record: LogRecord) -> String {
        guard record.isChilds, let task = record.task else { return record.text }
        return "\(task): \(record.text)"
    }

    /// One event, one line: what a task prints can neither forge another nor steer a terminal. Further lines are indented.
    static func safe(_ text: String) -> String {
        if text.utf8.allSatisfy({ $0 >= 0x20 && $0 < 0x7F }) { return text }
        // "\r\n" is one character to Swift, hence the bytes.
        let lines = text.utf8.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
        return lines.map { line in
            let line = line.last == UInt8(ascii: "\r") ? line.dropLast() : line
            let columns = line.split(separator: UInt8(ascii: "\t"), omittingEmptySubsequences: false)
            return columns.map { TerminalText.safe(String(Substring($0))) }.joined(separator: "\t")
        }.joined(separator: "\n    ")
    }

    /// Local time, to the millisecond.
    private static func append(_ time: WallTime, to out: inout [UInt8]) {
        var seconds = time_t(time.microseconds / 1_000_000)
        var parts = tm()
        localtime_r(&seconds, &parts)
        DecimalDigits.append(Int(parts.tm_year) + 1900, width: 4, to: &out)
        for (separator, value) in [
            ("-", parts.tm_mon + 1), ("-", parts.tm_mday), (" ", parts.tm_hour), (":", parts.tm_min), (":", parts.tm_sec),
        ] as [(Unicode.Scalar, Int32)] {
            out.append(UInt8(ascii: separator))
            DecimalDigits.append(Int(value), width: 2, to: &out)
        }
        out.append(UInt8(ascii: ","))
        DecimalDigits.append(Int(time.microseconds / 1000 % 1000), width: 3, to: &out)
    }
}
