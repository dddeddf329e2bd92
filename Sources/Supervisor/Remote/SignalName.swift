import CoppiceShared
import Glibc

/// Signals by name (`SIGKILL`, `KILL`) or number, as `revoke` takes them.
public enum SignalName {
    private static let numbers: [String: Int32] = [
        "HUP": SIGHUP, "INT": SIGINT, "QUIT": SIGQUIT, "ILL": SIGILL, "TRAP": SIGTRAP, "ABRT": SIGABRT, "BUS": SIGBUS, "FPE": SIGFPE,
        "KILL": SIGKILL, "USR1": SIGUSR1, "SEGV": SIGSEGV, "USR2": SIGUSR2, "PIPE": SIGPIPE, "ALRM": SIGALRM, "TERM": SIGTERM,
        "CONT": SIGCONT, "STOP": SIGSTOP, "XCPU": SIGXCPU, "SYS": SIGSYS,
    ]

    public static func number(_ text: String) -> Int32? {
        if let number = Int32(text) { return (1...64).contains(number) ? number : nil }
        let name = text.uppercased()
        return numbers[name.hasPrefix("SIG") ? String(name.dropFirst(3)) : name]
    }

    static func number(_ value: JSONValue?) -> Int32? {
        switch value {
        case .string(let text): number(text)
        case .int(let number): self.number(String(number))
        default: nil
        }
    }

    static func name(_ number: Int32) -> String { numbers.first { $0.value == number }.map { "SIG\($0.key)" } ?? "signal \(number)" }
}
