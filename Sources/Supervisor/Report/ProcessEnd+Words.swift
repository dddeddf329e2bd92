import CoppiceSystem

extension ProcessEnd {
    /// In billiard's words: `signal 9 (SIGKILL)`.
    var words: String {
        switch self {
        case .signal(let number): "signal \(number) (\(SignalName.name(number)))"
        case .exit(let code): "exitcode \(code)"
        }
    }
}
