import CoppiceSystem
import Glibc

/// A death in words, for results, the log and the stories of attempts.
extension Death {
    /// How the process ended. One that does not end has been sent SIGKILL, and can't obey.
    var how: String { isUntold ? "an end that is not told" : (process ?? .signal(SIGKILL)).words }

    /// It ended by itself or by another's hand, and is held by what traces it.
    private var isUntold: Bool { process == nil && isHeld && end.killed == nil }

    /// By whose hand and why.
    var cause: String {
        if process == nil { return "\(hand), but \(isHeld ? "is held by what traces it" : "it does not end: it is held in the kernel")" }
        guard oomKilled else { return end.hitAnother ? "\(hand); that was meant for the task before this one" : hand }
        return end.killed == nil && process == .signal(SIGKILL)
            ? "killed by the kernel: its cgroup was out of memory, by its own limit or the machine's"
            : "\(hand), after the kernel had killed in its cgroup for want of memory"
    }

    private var hand: String {
        switch end.killed {
        case .neverReady(let seconds): return "killed: it was not ready within \(Death.seconds(seconds))"
        case .hardTimeLimit(let limit): return "killed at the hard time limit of \(Death.seconds(limit))"
        case .revoked: return "ended since the task was revoked"
        case .silent: return "killed: it had been silent for \(Death.seconds(Pool.silence))\(doing)"
        case .pledgeBroken(let seconds): return "killed: the task had promised a heartbeat within \(Death.seconds(seconds)), and none came"
        case .crashReport: return "killed: it had crashed, and to report that took it more than \(Death.seconds(Pool.reportTimeout))"
        case .protocolError(let complaint): return "killed for breaking the pipe protocol: \(complaint)"
        case .overMemory(let bytes): return "killed over its memory limit, with \(Death.megabytes(bytes)) MB"
        case .neverBegan: return "killed: it had not begun what it was given within \(Death.seconds(Pool.beginTimeout))"
        case .shutdown: return "killed by a cold shutdown"
        case .notWanted: return "killed: it was still starting when it was not wanted any more"
        case .overstayed: return "killed: it was asked to stop and did not"
        case nil: break
        }
        switch process {
        case nil: return isHeld ? "it has ended" : "killed"
        case .exit: return "it ended itself"
        case .signal(SIGKILL):
            return "sent by nobody here: by another's hand, or by the kernel for want of memory, which its log would tell"
        case .signal(let number) where Death.crashes.contains(number):
            // Swift's runtime says so, at whatever limit it was refused.
            let wasRefused = lastLines.contains { $0.hasPrefix("Fatal error: failed to allocate") }
            return wasRefused ? "it crashed: it was refused more memory" : "it crashed"
        case .signal(SIGXCPU), .signal(SIGXFSZ): return "it was over a limit that the kernel holds it to"
        case .signal: return "sent by nobody here"
        }
    }

    /// What it did instead of beating.
    private var doing: String {
        switch state {
        case "R": ", running or waiting for a processor"
        case "S": ", asleep"
        case "D": ", asleep in the kernel"
        case "T": ", stopped by a signal"
        case "t": ", held by a debugger"
        case "Z": ", its main thread at an end"
        default: ""
        }
    }

    /// Signals that a process brings upon itself by a fault of its own.
    private static let crashes: Set<Int32> = [SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP, SIGABRT, SIGSYS]

    /// How long it took and what it used.
    var figures: String {
        var text = ran.map { "the task had run for \(Death.seconds($0)), its process for " } ?? "the process had run for "
        text += Death.seconds(lived)
        if let cpu { text += ", with \(Death.seconds(cpu)) of CPU time" }
        switch memory {
        case .exactly(let bytes): text += "\(cpu == nil ? ", with" : " and") \(Death.megabytes(bytes)) MB of memory at most"
        case .below(let bytes): text += "\(cpu == nil ? ", with" : " and") less than \(Death.megabytes(bytes)) MB of memory"
        case nil: break
        }
        return text
    }

    /// Everything but the last lines, in one.
    var story: String { "\(how): \(cause); \(figures)" }

    /// Cause and figures as sentences.
    var explanation: String { [cause, figures].map { $0.prefix(1).uppercased() + $0.dropFirst() + "." }.joined(separator: " ") }

    /// The last lines on standard error, for where a traceback stands; nil: there were none.
    var lament: String? {
        lastLines.isEmpty ? nil : "Last lines on standard error:\n" + lastLines.map { "  \($0)\n" }.joined()
    }

    /// Of a process that has ended with 127: what kept its program from being executed, in its own words.
    var whyNotExecuted: String {
        guard let line = lastLines.last else { return "exit code 127" }
        // The loader names the first library that is missing.
        let isOfSwift = ["libswift", "libFoundation", "lib_Foundation", "libdispatch"].contains { line.contains("shared libraries: \($0)") }
        return isOfSwift ? "\(line); a host without Swift wants a worker that was built with --static-swift-stdlib" : line
    }

    static func seconds(_ value: Double) -> String { "\(fixed(value, value < 100 ? 2 : 0)) s" }

    private static func megabytes(_ bytes: Int) -> String { fixed(Double(bytes) / 1_048_576, 1) }

    /// So many digits behind the point, without zeros at the end.
    private static func fixed(_ value: Double, _ digits: Int) -> String {
        let scale = [1.0, 10, 100][digits]
        let rounded = (max(0, value) * scale).rounded() / scale
        return rounded == rounded.rounded() && rounded < 1e15 ? String(Int(rounded)) : String(rounded)
    }
}
