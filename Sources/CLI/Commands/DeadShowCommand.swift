import ArgumentParser
import CoppiceClient
import CoppiceShared
import CoppiceSystem
import CoppiceTransport
import Glibc

struct DeadShowCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "show", abstract: "Show a record and its message.",
        discussion: """
            The body is decoded where it is JSON. With --raw the message's own bytes go to standard output, which must not be a terminal. \
            Exit codes: 0, 1 no such record, or with --raw no message.
            """)

    /// Bytes of what is not JSON that are shown, and characters of what the record says.
    private static let mostBytes = 2048

    @Argument(help: "The record's id.")
    var id: String

    @Flag(help: "Write the message as it stood in its queue.")
    var raw = false

    @OptionGroup var connection: ConnectionFlags

    func run() throws {
        try CommandFailure.reporting {
            let settings = try Settings(connection)
            if raw, isatty(STDOUT_FILENO) == 1 {
                throw CommandFailure("--raw: standard output is a terminal, and nobody knows what the message does to it", code: 2)
            }
            let client = Client(broker: settings.broker, results: settings.results, ledger: try settings.ledger())
            guard let (letter, message) = try client.deadLetter(id) else {
                throw CommandFailure("no dead letter \(id)")
            }
            if raw {
                guard let message else { throw CommandFailure("the message of \(id) is not kept any more") }
                try write(message)
            } else {
                for (name, value) in lines(letter, message) { print(name + String(repeating: " ", count: 10 - name.count) + value) }
            }
        }
    }

    private func lines(_ letter: DeadLetter, _ message: [UInt8]?) -> [(String, String)] {
        func short(_ text: String) -> String { TerminalText.safe(text, limit: Self.mostBytes) }
        var lines = [
            ("id", TerminalText.safe(letter.id)), ("reason", short(letter.reason)), ("queue", short(letter.queue)),
            ("at", letter.at.map(ISO8601.format) ?? "-"), ("task id", letter.taskID.map(short) ?? "-"),
        ]
        for (key, value) in letter.further.members { lines.append((String(TerminalText.safe(key).prefix(9)), value.text)) }
        guard let message else { return lines + [("message", "not kept any more")] }
        lines.append(("message", "\(message.count) bytes"))
        guard let envelope = (try? JSONValue(parsing: message))?.object else {
            return lines + [("bytes", TerminalText.bytes(message, limit: Self.mostBytes))]
        }
        // JSON as we write it is ASCII without control characters.
        for (key, value) in envelope.members where key != "body" { lines.append((name(key), value.text)) }
        if let body = envelope["body"] { lines.append(("body", text(of: body, JSONValue.object(envelope)))) }
        return lines
    }

    private func name(_ key: String) -> String {
        switch key {
        case "content-type": "type"
        case "content-encoding": "encoding"
        case "properties": "props"
        default: String(TerminalText.safe(key).prefix(9))
        }
    }

    private func text(of body: JSONValue, _ envelope: JSONValue) -> String {
        guard let text = body.string else { return body.text }
        var bytes = Array(text.utf8)
        if envelope["properties"]?["body_encoding"]?.string == "base64" {
            guard let decoded = Base64.decode(bytes) else { return "not base64: " + TerminalText.bytes(bytes, limit: Self.mostBytes) }
            bytes = decoded
        }
        if let value = try? JSONValue(parsing: bytes) { return value.text }
        return TerminalText.bytes(bytes, limit: Self.mostBytes)
    }

    private func write(_ bytes: [UInt8]) throws {
        var rest = bytes[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes { Glibc.write(STDOUT_FILENO, $0.baseAddress, $0.count) }
            guard count > 0 else { throw CommandFailure("\(SystemError("standard output"))") }
            rest = rest.dropFirst(count)
        }
    }
}
