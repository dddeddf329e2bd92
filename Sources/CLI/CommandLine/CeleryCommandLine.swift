import ArgumentParser

/// A command line as people write it who know `celery`, made into one of ours.
///
/// Flags may stand before the subcommand, as in `celery -A app worker`. Celery's flags that are none of ours are taken out with a
/// warning where they change nothing; the others are refused.
struct CeleryCommandLine {
    /// For the parser.
    private(set) var arguments: [String]
    /// One for each flag that was taken out.
    private(set) var warnings: [String] = []

    /// Ours that Celery has before the subcommand, or that people put there. All take a value.
    private static let movable: Set<String> = ["-A", "--app", "-b", "--broker", "--result-backend", "--config", "-n", "--hostname"]
    /// sysexits' EX_USAGE, as the parser's own.
    private static let usage: Int32 = 64

    /// - Throws: for a flag of Celery's that is refused, and for a subcommand that does not exist.
    init(_ given: [String]) throws(CommandFailure) {
        arguments = given
        var rest = given[...]
        let leading = CeleryCommandLine.takeLeadingFlags(&rest)
        let path = CeleryCommandLine.takeSubcommands(&rest)
        guard let command = path.last else {
            try CeleryCommandLine.checkSubcommand(rest, isMissing: !leading.isEmpty && rest.isEmpty)
            if !leading.isEmpty { arguments = Array(rest) }
            return
        }
        var flags = try passOver(leading[...])
        // Only these two execute a worker.
        if command != WorkerCommand.self, command != TuneCommand.self { flags = drop(["-A", "--app"], from: flags) }
        let own = command == WorkerCommand.self ? try passOver(rest) : Array(rest)
        arguments = path.compactMap { $0.configuration.commandName } + flags + own
    }

    // MARK: the parts

    /// A flag as it stands in an argument: `--pool=solo`, `-Psolo`, `-P`.
    private struct Flag {
        let name: String
        let value: String?

        init?(_ argument: String) {
            guard argument.hasPrefix("-"), argument != "-", argument != "--" else { return nil }
            let length = argument.hasPrefix("--") ? argument.prefix { $0 != "=" }.count : 2
            name = String(argument.prefix(length))
            let joined = argument.dropFirst(length)
            value = joined.isEmpty ? nil : String(joined.first == "=" ? joined.dropFirst() : joined)
        }

        var celerys: CeleryFlag? { CeleryFlag.all.first { $0.names.contains(name) && ($0.takesValue || value == nil) } }
    }

    /// Removes the flags that stand in front and are known to stand there, with their values.
    private static func takeLeadingFlags(_ rest: inout ArraySlice<String>) -> [String] {
        var taken: [String] = []
        while let argument = rest.first, let flag = Flag(argument) {
            let celerys = flag.celerys
            guard celerys != nil || movable.contains(flag.name) else { break }
            taken.append(rest.removeFirst())
            if celerys?.takesValue ?? true, flag.value == nil, let value = rest.popFirst() { taken.append(value) }
        }
        return taken
    }

    /// Removes the names of a subcommand and of what is below it.
    private static func takeSubcommands(_ rest: inout ArraySlice<String>) -> [any ParsableCommand.Type] {
        var path: [any ParsableCommand.Type] = []
        var choice = Coppice.configuration.subcommands
        while let name = rest.first, let next = choice.first(where: { $0.configuration.commandName == name }) {
            path.append(next)
            rest.removeFirst()
            choice = next.configuration.subcommands
        }
        return path
    }

    private static func checkSubcommand(_ rest: ArraySlice<String>, isMissing: Bool) throws(CommandFailure) {
        let known = Coppice.configuration.subcommands.compactMap { $0.configuration.commandName }
        let name = rest.first == "help" ? rest.dropFirst().first : rest.first
        guard let name, name != "help", !name.hasPrefix("-") else {
            if isMissing { throw CommandFailure("which subcommand? One of \(known.joined(separator: ", "))", code: usage) }
            return
        }
        guard !known.contains(name) else { return }
        throw CommandFailure("there is no subcommand '\(name)'; there are \(known.joined(separator: ", "))", code: usage)
    }

    /// Takes Celery's flags out.
    private mutating func passOver(_ arguments: ArraySlice<String>) throws(CommandFailure) -> [String] {
        var rest = arguments
        var kept: [String] = []
        while let argument = rest.popFirst() {
            guard let flag = Flag(argument), let celerys = flag.celerys else {
                kept.append(argument)
                continue
            }
            let value = celerys.takesValue ? flag.value ?? rest.popFirst() : nil
            switch celerys.answer(value) {
            case .passedOver(let reason): warnings.append("\(flag.name): \(reason); ignoring")
            case .refused(let reason): throw CommandFailure("\(flag.name): \(reason)", code: CeleryCommandLine.usage)
            case .wrongValue(let reason): throw CommandFailure("\(flag.name) \(value ?? ""): \(reason)", code: 2)
            }
        }
        return kept
    }

    private mutating func drop(_ names: Set<String>, from arguments: [String]) -> [String] {
        var rest = arguments[...]
        var kept: [String] = []
        while let argument = rest.popFirst() {
            guard let flag = Flag(argument), names.contains(flag.name) else {
                kept.append(argument)
                continue
            }
            if flag.value == nil { _ = rest.popFirst() }
            warnings.append("\(flag.name): only 'worker' and 'tune' execute a worker; ignoring")
        }
        return kept
    }
}
