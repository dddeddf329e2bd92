import ArgumentParser
import CoppiceShared
import CoppiceSupervisor
import CoppiceSystem
import Glibc

struct ReloadCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "reload", abstract: "Have a worker on this machine read its settings and replace its children, and wait for the end.",
        discussion: """
            The master is named by its pidfile, or by its process id where it runs as a unit with a RuntimeDirectory, as for \
            ExecReload=coppice reload --pid $MAINPID. Exit codes: 0 all children are new, 1 the reload failed and the old ones go on, \
            or its end did not come in time, 2 no such master.
            """)

    @Option(help: ArgumentHelp("The worker's pidfile.", valueName: "path"))
    var pidfile: String?

    @Option(help: ArgumentHelp("The master's process id.", valueName: "n"))
    var pid: Int32?

    @Option(name: [.short, .long], help: ArgumentHelp("Seconds to wait for the end.", valueName: "seconds"))
    var timeout = 90.0

    /// Seconds between two looks at the report.
    private static let interval = 0.05

    func run() throws {
        try CommandFailure.reporting {
            guard timeout.isFinite, timeout > 0 else { throw CommandFailure("--timeout: not a number of seconds above 0", code: 2) }
            let folder = CurrentProcess.environment("RUNTIME_DIRECTORY")
            guard let path = ReloadReport.places(pidfile: pidfile, runtimeDirectory: folder).first else {
                throw CommandFailure("which worker? --pidfile PATH names it; --pid needs the unit's RUNTIME_DIRECTORY", code: 2)
            }
            // The report is the proof that the process is a master, and the one that is meant: a number alone may be anybody's by now.
            guard let before = ReloadReport(path: path), pid.map({ $0 == before.pid }) ?? true,
                // In this order: whoever has the number while it is held is who wrote the report.
                let master = try? ProcessHandle(pid: before.pid), before.isCurrent
            else {
                throw CommandFailure("no worker that runs tells of itself in \(path)", code: 2)
            }
            do { try master.signal(SIGHUP) } catch { throw CommandFailure("the worker (process \(before.pid)): \(error)", code: 2) }
            switch try end(of: master, path, after: before) {
            case .done: print("reloaded")
            case .failed(let reason): throw CommandFailure("the reload failed: \(reason)")
            }
        }
    }

    /// Whatever began after `before` was written is a reload with the settings of now.
    private func end(of master: ProcessHandle, _ path: String, after before: ReloadReport) throws -> ReloadReport.Outcome {
        let deadline = MonotonicTime.now.advanced(by: timeout)
        while true {
            let hasEnded = try master.hasEnded(within: Self.interval)
            if let report = ReloadReport(path: path), report.pid == before.pid, report.ended > before.begun, let outcome = report.outcome {
                return outcome
            }
            if hasEnded { return .failed("the worker has ended") }
            if MonotonicTime.now > deadline { throw CommandFailure("the reload has not ended within \(timeout) s; it may still") }
        }
    }
}
