import ArgumentParser
import CoppiceClient
import CoppiceTransport

/// Which dead letters a command is for.
struct DeadSelection: ParsableArguments {
    /// More than the place holds.
    private static let everything = 1_000_000

    @Argument(help: ArgumentHelp("Records' ids.", valueName: "id"))
    var ids: [String] = []

    @Flag(help: "All of them, the oldest first.")
    var all = false

    @Option(help: ArgumentHelp("With --all: those whose reason has this in it.", valueName: "text"))
    var reason: String?

    @Option(name: [.customShort("Q"), .long], help: ArgumentHelp("With --all: those that came from this queue.", valueName: "name"))
    var queue: String?

    func check() throws {
        guard all || !ids.isEmpty else { throw CommandFailure("which? Name ids, or say --all", code: 2) }
        guard !all || ids.isEmpty else { throw CommandFailure("either ids or --all", code: 2) }
        guard all || (reason == nil && queue == nil) else { throw CommandFailure("--reason and --queue are for --all", code: 2) }
    }

    /// - Parameter needsMessage: whether records without a message are passed over.
    func resolve(_ client: Client, needsMessage: Bool) throws -> [String] {
        guard all else { return ids }
        let letters = try client.deadLetters(upTo: DeadSelection.everything)
        return letters.reversed().filter { letter in
            (letter.hasMessage || !needsMessage) && (reason.map { letter.reason.contains($0) } ?? true)
                && (queue.map { letter.queue == $0 } ?? true)
        }.map(\.id)
    }
}
