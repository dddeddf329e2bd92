import Logging

/// A record in the journal's native form: `NAME=value` and a newline, or for a value with newlines `NAME`, a newline, the length as
/// eight bytes little-endian, the value and a newline. <https://systemd.io/JOURNAL_NATIVE_PROTOCOL/>
struct JournalEntry {
    private(set) var bytes: [UInt8] = []

    init(_ record: LogRecord, node: String) {
        append("MESSAGE", HumanLine.text(record))
        append("PRIORITY", JournalEntry.priority(record.level))
        append("SYSLOG_IDENTIFIER", "coppice")
        append("COPPICE_NODE", node)
        for (name, value) in record.fields.members {
            let text: String
            switch value {
            case .string(let value): text = value
            case .int(let number): text = String(number)
            case .double(let number): text = Seconds.text(number)
            default: continue
            }
            append("COPPICE_" + name.uppercased(), text)
        }
    }

    private mutating func append(_ name: String, _ value: String) {
        // The journal would drop a field with any other name.
        guard name.utf8.count <= 64, name.utf8.allSatisfy({ 0x41...0x5A ~= $0 || 0x30...0x39 ~= $0 || $0 == UInt8(ascii: "_") }) else {
            return
        }
        bytes.append(contentsOf: name.utf8)
        if value.utf8.contains(UInt8(ascii: "\n")) {
            bytes.append(UInt8(ascii: "\n"))
            let count = UInt64(value.utf8.count)
            for shift in stride(from: 0, to: 64, by: 8) { bytes.append(UInt8(truncatingIfNeeded: count >> UInt64(shift))) }
        } else {
            bytes.append(UInt8(ascii: "="))
        }
        bytes.append(contentsOf: value.utf8)
        bytes.append(UInt8(ascii: "\n"))
    }

    /// syslog(3)'s.
    private static func priority(_ level: Logger.Level) -> String {
        switch level {
        case .critical: "2"
        case .error: "3"
        case .warning: "4"
        case .notice: "5"
        case .info: "6"
        case .debug, .trace: "7"
        }
    }
}
