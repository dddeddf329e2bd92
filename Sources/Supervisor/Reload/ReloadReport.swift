import CoppiceShared
import CoppiceSystem
import Glibc

/// How a master's reloads went, in a small file: what `coppice reload` waits for. JSON, version 1.
public struct ReloadReport: Equatable, Sendable {
    static let version = 1

    public enum Outcome: Equatable, Sendable {
        case done
        case failed(String)
    }

    /// The master.
    public var pid: Int32
    /// When it was started, as `ProcessStatus.startTime` has it: a report may be left by a process that was killed.
    public var started: Int
    /// How many reloads have begun since its start, and how many of these have ended.
    public var begun = 0
    public var ended = 0
    /// Of the last one that has ended.
    public var outcome: Outcome?

    public init(pid: Int32, started: Int) {
        self.pid = pid
        self.started = started
    }

    /// Whether a process of this number, which is there, may be the master that wrote it. Where /proc hides others (hidepid, systemd's
    /// ProtectProc) it hides masters, too, even from their own user, since they forbid inspection: what is hidden is none but a master.
    public var isCurrent: Bool { ProcessStatus.startTime(of: pid).map { $0 == started } ?? true }

    mutating func begins() { begun += 1 }

    mutating func ends(_ outcome: Outcome) {
        ended = begun
        self.outcome = outcome
    }

    /// Beside the pidfile, and in the folder that systemd made for the unit: in each that there is, since whoever asks knows one of them.
    public static func places(pidfile: String?, runtimeDirectory: String?) -> [String] {
        // A unit may have several folders, separated by colons.
        let folder = runtimeDirectory?.prefix { $0 != ":" }
        return [pidfile.map { $0 + ".reload" }, folder.flatMap { $0.hasPrefix("/") ? $0 + "/coppice.reload" : nil }].compactMap(\.self)
    }

    // MARK: the file

    public init?(path: String) {
        guard let text = TextFile.read(path), let value = try? JSONValue(parsing: Array(text.utf8)),
            value["version"]?.int == ReloadReport.version, let pid = value["pid"]?.int.flatMap(Int32.init(exactly:)),
            let started = value["started"]?.int, let begun = value["begun"]?.int, let ended = value["ended"]?.int
        else { return nil }
        self.init(pid: pid, started: started)
        self.begun = begun
        self.ended = ended
        if let failure = value["failure"]?.string {
            outcome = .failed(failure)
        } else if ended > 0 {
            outcome = .done
        }
    }

    var json: JSONValue {
        var object = JSONObject()
        object.append("version", .int(ReloadReport.version))
        object.append("pid", .int(Int(pid)))
        object.append("started", .int(started))
        object.append("begun", .int(begun))
        object.append("ended", .int(ended))
        if case .failed(let reason) = outcome { object.append("failure", .string(reason)) }
        return .object(object)
    }

    /// A new file put in place at once: nobody reads half of it.
    func write(to path: String) throws(SystemError) {
        let temporary = "\(path).\(pid)"
        let file = try Descriptor.open(temporary, flags: O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW, mode: 0o644)
        do throws(SystemError) {
            try file.write(all: json.bytes + [UInt8(ascii: "\n")])
            guard rename(temporary, path) == 0 else { throw SystemError("rename to \(path)") }
        } catch {
            unlink(temporary)
            throw error
        }
    }
}
