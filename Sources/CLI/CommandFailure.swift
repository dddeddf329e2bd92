import ArgumentParser
import CoppiceClient
import CoppiceShared
import Glibc

/// Ends a command with one line on standard error and an exit code.
struct CommandFailure: Error {
    var text: String
    var code: Int32

    init(_ text: String, code: Int32 = 1) {
        self.text = text
        self.code = code
    }

    /// sysexits' EX_UNAVAILABLE: a broker or a store does not answer, or no node does.
    static let unavailable: Int32 = 69

    /// Runs a command's body; what it throws becomes its line and its code.
    static func reporting<Value>(_ body: () throws -> Value) throws -> Value {
        do {
            return try body()
        } catch let exit as ExitCode {
            throw exit
        } catch {
            let failure =
                switch error {
                case let failure as CommandFailure: failure
                case is SettingsError: CommandFailure("\(error)", code: 2)
                case is ClientError: CommandFailure("\(error)", code: unavailable)
                default: CommandFailure("\(error)")
                }
            // Names, reasons and what a task raised are others' words.
            StandardError.write("coppice: \(TerminalText.safe(failure.text))")
            throw ExitCode(failure.code)
        }
    }
}

enum StandardError {
    static func write(_ line: String) { put(line + "\n") }

    /// Text as it is, for what redraws a line.
    static func put(_ text: String) {
        _ = Array(text.utf8).withUnsafeBytes { Glibc.write(STDERR_FILENO, $0.baseAddress, $0.count) }
    }
}
