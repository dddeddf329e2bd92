/// Variables that look like settings and are none: mistyped ones, and what Celery or an application has under such names.
enum UnknownVariables {
    /// How many are named; the others are counted.
    private static let mostNamed = 10
    private static let prefixes = ["COPPICE_", "CELERY_"]

    /// One line for all of them; nil where there are none.
    ///
    /// - Parameter variables: as `NAME=value`. Values are not told.
    static func remark(_ variables: [String]) -> String? {
        let known = SettingName.all.union([SettingName.config, NodeName.defaultVariable]).sorted()
        let names = variables.map { String($0.prefix { $0 != "=" }) }
            .filter { name in prefixes.contains { name.hasPrefix($0) } && !known.contains(name) }
        guard !names.isEmpty else { return nil }
        let guesses = names.sorted().map { name in (name, known.first { isNear(name, $0) }) }
        // The most likely mistakes come first.
        let told = (guesses.filter { $0.1 != nil } + guesses.filter { $0.1 == nil }).map { name, guess in
            guess.map { "\(name) (\($0)?)" } ?? name
        }
        let rest = told.count > mostNamed ? ", and \(told.count - mostNamed) more" : ""
        return "variables that are no settings here are passed over: \(told.prefix(mostNamed).joined(separator: ", "))\(rest)"
    }

    /// Whether two edits at most, each of one character, make one of the other.
    private static func isNear(_ one: String, _ other: String) -> Bool {
        let (one, other) = (Array(one.utf8), Array(other.utf8))
        guard abs(one.count - other.count) <= 2 else { return false }
        // Levenshtein's distance, one row at a time.
        var row = Array(0...other.count)
        for (index, byte) in one.enumerated() {
            var corner = row[0]
            row[0] = index + 1
            for column in other.indices {
                let above = row[column + 1]
                row[column + 1] = min(above + 1, row[column] + 1, corner + (byte == other[column] ? 0 : 1))
                corner = above
            }
        }
        return row[other.count] <= 2
    }
}
