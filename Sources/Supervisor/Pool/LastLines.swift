/// The last lines that a child wrote to its standard error, for the story of its death. Bounded: the oldest go.
///
/// A crash report of Swift's runtime is longer than that, and its beginning says most: from its first line on what comes is kept, up to a
/// bound of its own, and what came before it.
struct LastLines: Equatable {
    static let mostLines = 20
    static let mostBytes = 4096
    static let mostReportLines = 150
    static let mostReportBytes = 16384
    /// Bytes of one line.
    static let longestLine = 1024

    private(set) var lines: [String] = []
    private var bytes = 0
    private var reportBegan = false

    mutating func append(_ line: String) {
        let line = LastLines.cut(line)
        if reportBegan {
            guard lines.count < LastLines.mostReportLines, bytes + line.utf8.count <= LastLines.mostReportBytes else { return }
        }
        lines.append(line)
        bytes += line.utf8.count
        while !reportBegan, lines.count > LastLines.mostLines || bytes > LastLines.mostBytes { bytes -= lines.removeFirst().utf8.count }
    }

    /// What follows is a crash report.
    mutating func beginReport() { reportBegan = true }

    private static func cut(_ line: String) -> String {
        line.utf8.count <= longestLine ? line : String(decoding: line.utf8.prefix(longestLine), as: UTF8.self) + "…"
    }
}
