/// Rows under a heading, each column as wide as its widest cell.
struct TextTable {
    private var rows: [[String]]
    /// The columns, counted from 0, that hold numbers: these stand at the right.
    private let numeric: Set<Int>

    init(_ heading: [String], numeric: Set<Int>) {
        rows = [heading]
        self.numeric = numeric
    }

    mutating func append(_ row: [String]) { rows.append(row) }

    var text: String {
        let widths = rows[0].indices.map { column in rows.map { $0[column].count }.max() ?? 0 }
        return rows.map { row in
            var line = ""
            for (column, cell) in row.enumerated() {
                let space = String(repeating: " ", count: widths[column] - cell.count)
                if column > 0 { line += "  " }
                line += numeric.contains(column) ? space + cell : cell + space
            }
            while line.last == " " { line.removeLast() }
            return line
        }.joined(separator: "\n")
    }
}
