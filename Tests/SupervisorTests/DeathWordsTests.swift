import CoppiceSystem
import Glibc
import Testing

@testable import CoppiceSupervisor

/// A death in words, one row for each way to die.
@Suite struct DeathWordsTests {
    typealias Reason = ChildLifecycle.KillReason

    private static func death(_ process: ProcessEnd?, killed: Reason? = nil, oom: Bool = false, lines: [String] = []) -> Death {
        Death(
            end: .init(killed: killed, wasStopping: false, wasReady: true, hand: .init()), process: process, lived: 61.234, ran: 2.5,
            cpu: process == nil ? nil : 0.456, memory: .exactly(15 << 20), lastLines: lines, oomKilled: oom)
    }

    struct Row: Sendable {
        var process: ProcessEnd?
        var killed: Reason?
        var oom = false
        var lines: [String] = []
        var how: String
        var cause: String
    }

    private static let kill = "signal 9 (SIGKILL)"

    static let rows: [Row] = [
        Row(process: .exit(0), how: "exitcode 0", cause: "it ended itself"),
        Row(process: .exit(65), how: "exitcode 65", cause: "it ended itself"),
        Row(process: .signal(SIGSEGV), how: "signal 11 (SIGSEGV)", cause: "it crashed"),
        Row(process: .signal(SIGABRT), how: "signal 6 (SIGABRT)", cause: "it crashed"),
        Row(
            process: .signal(SIGABRT),
            lines: ["Fatal error: failed to allocate 419430432 bytes of memory with alignment 8", "Current stack trace:"],
            how: "signal 6 (SIGABRT)", cause: "it crashed: it was refused more memory"),
        Row(
            process: .signal(SIGKILL), killed: .overMemory(204 << 20), how: kill,
            cause: "killed over its memory limit, with 204 MB"),
        Row(process: .signal(SIGXCPU), how: "signal 24 (SIGXCPU)", cause: "it was over a limit that the kernel holds it to"),
        Row(process: .signal(SIGTERM), how: "signal 15 (SIGTERM)", cause: "sent by nobody here"),
        Row(
            process: .signal(SIGKILL), how: kill,
            cause: "sent by nobody here: by another's hand, or by the kernel for want of memory, which its log would tell"),
        Row(
            process: .signal(SIGKILL), oom: true, how: kill,
            cause: "killed by the kernel: its cgroup was out of memory, by its own limit or the machine's"),
        Row(
            process: .exit(1), oom: true, how: "exitcode 1",
            cause: "it ended itself, after the kernel had killed in its cgroup for want of memory"),
        Row(process: .signal(SIGKILL), killed: .hardTimeLimit(5), how: kill, cause: "killed at the hard time limit of 5 s"),
        Row(process: .signal(SIGKILL), killed: .hardTimeLimit(0.25), how: kill, cause: "killed at the hard time limit of 0.25 s"),
        Row(process: .signal(SIGTERM), killed: .revoked, how: "signal 15 (SIGTERM)", cause: "ended since the task was revoked"),
        Row(process: .signal(SIGKILL), killed: .silent, how: kill, cause: "killed: it had been silent for 3 s"),
        Row(
            process: .signal(SIGKILL), killed: .pledgeBroken(30), how: kill,
            cause: "killed: the task had promised a heartbeat within 30 s, and none came"),
        Row(
            process: .signal(SIGKILL), killed: .crashReport, how: kill,
            cause: "killed: it had crashed, and to report that took it more than 30 s"),
        Row(process: .signal(SIGKILL), killed: .protocolError("x"), how: kill, cause: "killed for breaking the pipe protocol: x"),
        Row(process: .signal(SIGKILL), killed: .neverReady(10), how: kill, cause: "killed: it was not ready within 10 s"),
        Row(process: .signal(SIGKILL), killed: .neverBegan, how: kill, cause: "killed: it had not begun what it was given within 10 s"),
        Row(process: .signal(SIGKILL), killed: .shutdown, how: kill, cause: "killed by a cold shutdown"),
        Row(
            process: .signal(SIGKILL), killed: .notWanted, how: kill, cause: "killed: it was still starting when it was not wanted any more"
        ),
        Row(process: .signal(SIGKILL), killed: .overstayed, how: kill, cause: "killed: it was asked to stop and did not"),
        Row(
            process: nil, killed: .silent, how: kill,
            cause: "killed: it had been silent for 3 s, but it does not end: it is held in the kernel"),
    ]

    @Test(arguments: rows) func everyWayToDie(_ row: Row) {
        let death = Self.death(row.process, killed: row.killed, oom: row.oom, lines: row.lines)
        #expect(death.how == row.how)
        #expect(death.cause == row.cause)
    }

    @Test func aTracerThatDoesNotPassTheEndOn() {
        var death = Self.death(nil)
        death.isHeld = true
        #expect(death.how == "an end that is not told" && death.cause == "it has ended, but is held by what traces it")
        death.end.killed = .silent
        #expect(death.how == Self.kill && death.cause == "killed: it had been silent for 3 s, but is held by what traces it")
    }

    @Test func theTaskBehindTheOneThatWasMeant() {
        var death = Self.death(.signal(SIGTERM), killed: .revoked)
        death.end.target = 7
        death.end.hand = .init(assignments: [8], isStarted: true)
        #expect(death.cause == "ended since the task was revoked; that was meant for the task before this one")
    }

    @Test func theFigures() {
        var death = Self.death(.signal(SIGSEGV))
        #expect(
            death.figures == "the task had run for 2.5 s, its process for 61.23 s, with 0.46 s of CPU time and 15 MB of memory at most")
        death.memory = .below(12_300_000)
        death.ran = nil
        death.lived = 86412.7
        #expect(death.figures == "the process had run for 86413 s, with 0.46 s of CPU time and less than 11.7 MB of memory")
        death.memory = nil
        #expect(death.figures == "the process had run for 86413 s, with 0.46 s of CPU time")
        #expect(Self.death(nil, killed: .silent).figures.hasSuffix("its process for 61.23 s, with 15 MB of memory at most"))
    }

    @Test(arguments: [
        ("T", ", stopped by a signal"), ("t", ", held by a debugger"), ("D", ", asleep in the kernel"), ("S", ", asleep"),
        ("R", ", running or waiting for a processor"), ("Z", ", its main thread at an end"), ("?", ""),
    ])
    func whatASilentChildDid(_ letter: Character, _ words: String) {
        var death = Self.death(.signal(SIGKILL), killed: .silent)
        death.state = letter
        #expect(death.cause == "killed: it had been silent for 3 s" + words)
    }

    @Test func theStoryIsOneLineAndTheExplanationSentences() {
        let death = Self.death(.exit(3))
        #expect(death.story == "exitcode 3: it ended itself; \(death.figures)")
        #expect(death.explanation.hasPrefix("It ended itself. The task had run for 2.5 s, "))
        #expect(death.explanation.hasSuffix("of memory at most."))
    }

    @Test func theLastLines() {
        #expect(Self.death(.exit(3)).lament == nil)
        #expect(Self.death(.exit(3), lines: ["a", "b"]).lament == "Last lines on standard error:\n  a\n  b\n")
    }

    @Test func celerysSentenceComesFirst() {
        let failure = Verdict.lost(Self.death(.signal(SIGKILL), lines: ["a"]), assignment: 7)
        #expect(failure.type == "WorkerLostError" && failure.module == "billiard.exceptions")
        #expect(failure.arguments.first?.string?.hasPrefix("Worker exited prematurely: signal 9 (SIGKILL) Job: 7. Sent by nobody") == true)
        #expect(failure.traceback == "Last lines on standard error:\n  a\n")
    }
}
