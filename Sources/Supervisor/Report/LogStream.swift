import CoppiceSystem

/// The log as lines of text, for people or for programs.
struct LogStream: LogDestination {
    private var output: LineOutput
    private var form: Form

    enum Form {
        case human(HumanLine)
        case json(JSONLine)
    }

    init(_ output: LineOutput, _ form: Form) {
        self.output = output
        self.form = form
    }

    var backlog: Int { output.backlog }

    mutating func append(_ record: LogRecord) {
        switch form {
        case .human(let line): output.append(line.bytes(record))
        case .json(let line): output.append(line.bytes(record))
        }
    }

    mutating func flush() -> Int { output.flush() }

    mutating func reopen() throws(SystemError) { try output.reopen() }
}
