import ArgumentParser
import CoppiceClient
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
        } catch let failure as CommandFailure {
            StandardError.write("coppice: \(failure.text)")
            throw ExitCode(failure.code)
        } catch let exit as ExitCode {
            throw exit
        } catch let error as ClientError {
            StandardError.write("coppice: \(error)")
            throw ExitCode(unavailable)
        } catch {
            StandardError.write("coppice: \(error)")
            throw ExitCode(1)
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
