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

    private struct Entry: Equatable {
        var text: String
        /// The assignments of which one has written it; none: it is of no task.
        var owners: [UInt64]
    }

    private var entries: [Entry] = []
    private var bytes = 0
    private var reportBegan = false

    /// Those that this assignment may have written, and those of no task. The process lives on from task to task, and what another has
    /// said is nobody else's business.
    func lines(of assignment: UInt64?) -> [String] {
        entries.filter { $0.owners.isEmpty || assignment.map($0.owners.contains) ?? false }.map(\.text)
    }

    mutating func append(_ line: String, of owners: [UInt64]) {
        let line = LastLines.cut(line)
        if reportBegan {
            guard entries.count < LastLines.mostReportLines, bytes + line.utf8.count <= LastLines.mostReportBytes else { return }
        }
        entries.append(Entry(text: line, owners: owners))
        bytes += line.utf8.count
        while !reportBegan, entries.count > LastLines.mostLines || bytes > LastLines.mostBytes {
            bytes -= entries.removeFirst().text.utf8.count
        }
    }

    /// What follows is a crash report.
    mutating func beginReport() { reportBegan = true }

    private static func cut(_ line: String) -> String {
        line.utf8.count <= longestLine ? line : String(decoding: line.utf8.prefix(longestLine), as: UTF8.self) + "…"
    }
}
