import CoppiceShared
import CoppiceSystem
import Foundation
import Testing

@testable import CoppiceWorkerProcess

/// The child as its master sees it: drill-worker on real pipes.
@Suite(.serialized, .timeLimit(.minutes(2))) struct ChildProcessTests {
    @Test func aTaskIsStartedAndDone() throws {
        let child = try PipeDriver()
        try child.run(7, "drill.add", 2, 3)
        #expect(try child.next() == .started(assignment: 7))
        #expect(try child.next() == .done(assignment: 7, outcome: .success(Array("5".utf8))))
    }

    @Test func aBatchIsRunInOrder() throws {
        let child = try PipeDriver()
        let numbers = 1...UInt64(200)
        try child.send(bytes: numbers.flatMap { PipeDriver.run($0, "drill.add", [.int(Int($0)), 1]).encoded })
        for number in numbers {
            #expect(try child.next() == .started(assignment: number))
            #expect(try child.next() == .done(assignment: number, outcome: .success(Array("\(number + 1)".utf8))))
        }
    }

    /// The first task's report does not wait for the second, which takes long.
    @Test func reportsDoNotWaitForALongTask() throws {
        let child = try PipeDriver()
        try child.send(PipeDriver.run(1, "drill.add", [1, 1]), PipeDriver.run(2, "drill.spin", [30.0]))
        #expect(try child.next(within: 5) == .started(assignment: 1))
        #expect(try child.next(within: 5) == .done(assignment: 1, outcome: .success(Array("2".utf8))))
        #expect(try child.next(within: 5) == .started(assignment: 2))
    }

    /// A handler may say that it goes on as often as it likes: what has not left yet is not said twice.
    @Test func heartbeatsOfATaskAreFew() throws {
        let child = try PipeDriver()
        try child.run(1, "drill.beat", 20_000, 0, 5, 0)
        #expect(try child.next() == .started(assignment: 1))
        var pledges = 0
        while let frame = try child.next(), case .pledge(1, 5) = frame { pledges += 1 }
        #expect((1...5000).contains(pledges))
        // No time is no promise.
        try child.run(2, "drill.beat", 3, 0, 0, 0)
        #expect(try child.next() == .started(assignment: 2))
        #expect(try child.next() == .done(assignment: 2, outcome: .success(Array("3".utf8))))
    }

    @Test func errorsReachPythonAsItsOwn() throws {
        let child = try PipeDriver()
        func failure(_ outcome: Outcome) throws -> TaskFailure {
            guard case .failure(let failure) = outcome else { throw PipeDriver.Unexpected() }
            return failure
        }
        let value = try failure(child.result("drill.fail", "no"))
        #expect(value.type == "ValueError" && value.module == "builtins" && value.arguments == ["no"])
        #expect(value.traceback?.contains("DrillWorker.swift\", line ") == true)
        let unknown = try failure(child.result("no.such"))
        #expect(unknown.type == "NotRegistered" && unknown.module == "celery.exceptions" && unknown.arguments == ["no.such"])
        let arguments = try failure(child.result("drill.add", 1))
        #expect(arguments.type == "TypeError" && arguments.arguments == ["add() missing 1 required positional argument: 'y'"])
    }

    @Test func retriesHaveALimit() throws {
        let child = try PipeDriver(settings: ["max_retries": 2])
        guard case .retry(let delay, _) = try child.result("drill.retry", 9, retries: 1) else { throw PipeDriver.Unexpected() }
        #expect(delay == 1)
        guard case .failure(let failure) = try child.result("drill.retry", 9, retries: 2) else { throw PipeDriver.Unexpected() }
        #expect(failure.type == "MaxRetriesExceededError" && failure.module == "celery.exceptions")
        #expect(failure.arguments == ["Can't retry drill.retry[id-1] args:(9,) kwargs:{}"])
        #expect(try child.result("drill.retry", 1, retries: 1) == .success(Array("1".utf8)))
    }

    @Test func aSoftLimitIsACancellation() throws {
        let child = try PipeDriver()
        try child.run(1, "drill.soft", 60)
        #expect(try child.next() == .started(assignment: 1))
        try child.send(.cancel(assignment: 1, reason: .softTimeLimit))
        #expect(try child.outcome(of: 1) == .success(Array("\"soft\"".utf8)))
        // What doesn't catch it fails with the class that Celery has for it.
        try child.run(2, "drill.sleep", 60)
        #expect(try child.next() == .started(assignment: 2))
        try child.send(.cancel(assignment: 2, reason: .softTimeLimit))
        guard case .failure(let failure) = try child.outcome(of: 2) else { throw PipeDriver.Unexpected() }
        #expect(failure.type == "SoftTimeLimitExceeded" && failure.module == "billiard.exceptions" && failure.arguments.isEmpty)
    }

    @Test func aCancellationHitsOnlyItsOwnAssignment() throws {
        let child = try PipeDriver()
        // Each is cancelled around its end; the next one must not feel it.
        for number in stride(from: UInt64(1), to: 200, by: 2) {
            try child.send(
                PipeDriver.run(number, "drill.add", [1, 1]), .cancel(assignment: number, reason: .softTimeLimit),
                PipeDriver.run(number + 1, "drill.sleep", [0.001]))
            #expect(try child.outcome(of: number + 1) == .success(Array("0.001".utf8)))
        }
    }

    @Test func recallGivesBackWhatHasNotBegun() throws {
        let child = try PipeDriver()
        try child.run(1, "drill.soft", 60)
        #expect(try child.next() == .started(assignment: 1))
        try child.send(PipeDriver.run(2, "drill.add", [1, 1]), PipeDriver.run(3, "drill.add", [1, 1]), .recall)
        #expect(try child.next() == .returned(assignments: [2, 3]))
        try child.send(.recall)
        #expect(try child.next() == .returned(assignments: []))
        try child.send(.cancel(assignment: 1, reason: .softTimeLimit))
        _ = try child.outcome(of: 1)
        #expect(try child.result("drill.add", 1, 1) == .success(Array("2".utf8)))
    }

    @Test func stopFinishesWhatRunsAndGivesBackTheRest() throws {
        let child = try PipeDriver()
        try child.run(1, "drill.soft", 60)
        #expect(try child.next() == .started(assignment: 1))
        try child.send(PipeDriver.run(2, "drill.add", [1, 1]), .stop)
        #expect(try child.next() == .returned(assignments: [2]))
        try child.send(.cancel(assignment: 1, reason: .softTimeLimit))
        #expect(try child.next() == .done(assignment: 1, outcome: .success(Array("\"soft\"".utf8))))
        #expect(try child.next() == nil)
        #expect(try child.end() == .exit(0))
    }

    @Test func anIdleChildStopsAndAnswers() throws {
        let child = try PipeDriver()
        try child.send(.stop)
        #expect(try child.next() == .returned(assignments: []))
        #expect(try child.end() == .exit(0))
    }

    @Test func theMastersEndIsTheChildsEvenWhileItSpins() throws {
        let child = try PipeDriver()
        try child.run(1, "drill.spin", 600)
        #expect(try child.next() == .started(assignment: 1))
        child.closeDown()
        #expect(try child.end() == .exit(0))
    }

    @Test func itBeatsWhileAHandlerSpins() throws {
        let child = try PipeDriver(heartbeat: 20)
        try child.run(1, "drill.spin", 600)
        while let frame = try child.next(), frame != .started(assignment: 1) {}
        for _ in 0..<5 { #expect(try child.next() == .heartbeat(assignment: 1)) }
    }

    @Test(
        arguments: [
            [0, 0, 0, 1, 99], [0xFF, 0xFF, 0xFF, 0xFF], [0, 0, 0, 0], [0, 0, 0, 2, 2, 0],
            DownFrame.hello(.init(slot: 1, node: "n", heartbeat: 1, settings: [:])).encoded,
        ] as [[UInt8]])
    func aBadFrameEndsTheChild(_ bytes: [UInt8]) throws {
        let child = try PipeDriver()
        try child.send(bytes: bytes)
        #expect(try child.end() == .exit(PipeProtocol.badFrameExit))
        #expect(try child.complaint().hasPrefix("coppice: bad frame from the master: "))
    }

    private func withNotes(_ body: (_ environment: [String], _ notes: () throws -> [String]) throws -> Void) throws {
        let file = FileManager.default.temporaryDirectory.appending(path: "coppice-notes-\(CurrentProcess.id)-\(UUID())")
        defer { try? FileManager.default.removeItem(at: file) }
        try body(["DRILL_NOTES=\(file.path)"]) {
            try String(contentsOf: file, encoding: .utf8).split(separator: "\n").map { String($0.prefix { $0 != " " }) }
        }
    }

    @Test func aWorkerIsSetUpBeforeItIsReadyAndTornDownAfterItsLastTask() throws {
        try withNotes { environment, notes in
            let child = try PipeDriver(environment: environment)
            #expect(try notes() == ["up"])
            try child.send(PipeDriver.run(1, "drill.spin", [0.1]), PipeDriver.run(2, "drill.spin", [0.1]))
            #expect(try child.next() == .started(assignment: 1))
            try child.send(.stop)
            #expect(try child.outcome(of: 1) == .success(Array("0.1".utf8)))
            #expect(try child.end() == .exit(0))
            #expect(try notes() == ["up", "down"])
        }
    }

    @Test func aWorkerThatCanNotBeSetUpEndsWithALine() throws {
        let child = try PipeDriver(greets: false, environment: ["DRILL_START=fail"])
        try child.send(.hello(.init(slot: 1, node: "n", heartbeat: 1000, settings: [:])))
        #expect(try child.next() == nil)
        #expect(try child.end() == .exit(1))
        #expect(try child.complaint() == "coppice: setUp has failed: as the drill wants it\n")
    }

    @Test func theMastersEndIsTheChildsWhileItIsSetUp() throws {
        let child = try PipeDriver(greets: false, environment: ["DRILL_START=600"])
        try child.send(.hello(.init(slot: 1, node: "n", heartbeat: 1000, settings: [:])))
        child.closeDown()
        #expect(try child.end() == .exit(0))
    }

    @Test func twoTasksOfOneNameAreRefused() throws {
        let child = try PipeDriver(greets: false, environment: ["DRILL_START=twice"])
        #expect(try child.end() == .exit(PipeProtocol.badWorkerExit))
        #expect(
            try child.complaint().wholeMatch(
                of:
                    /coppice: two tasks are named drill\.add: at DrillWorker\/DrillWorker\.swift:\d+ and DrillWorker\/DrillWorker\.swift:\d+\n/
            )
                != nil)
    }

    @Test func anotherVersionIsRefused() throws {
        let child = try PipeDriver(greets: false)
        try child.send(.hello(.init(version: 2, slot: 1, node: "n", heartbeat: 1, settings: [:])))
        #expect(try child.end() == .exit(PipeProtocol.wrongVersionExit))
    }

    private static let embed: JSONValue = ["callbacks": nil, "errbacks": [["task": "a"]], "chain": [["task": "b"]], "chord": nil]

    /// Only who asks for it is told of canvas, and of run times.
    @Test func canvasAndRunTimesAreReported() throws {
        let quiet = try PipeDriver()
        try quiet.send(PipeDriver.run(1, "drill.add", [2, 3], embed: Self.embed))
        #expect(try quiet.next() == .started(assignment: 1))
        #expect(try quiet.next() == .done(assignment: 1, outcome: .success(Array("5".utf8))))
        let child = try PipeDriver(settings: ["canvas": "report", "wants_runtimes": true])
        try child.send(PipeDriver.run(1, "drill.sleep", [0.05], embed: Self.embed))
        #expect(try child.next() == .started(assignment: 1))
        #expect(try child.next() == .canvas(assignment: 1, parts: ["errbacks", "chain"]))
        guard case .runtime(1, let seconds) = try child.next() else { throw PipeDriver.Unexpected() }
        #expect(0.05 <= seconds && seconds < 5)
        #expect(try child.next() == .done(assignment: 1, outcome: .success(Array("0.05".utf8))))
    }

    @Test func refusedCanvasReachesNoHandler() throws {
        let child = try PipeDriver(settings: ["canvas": "refuse"])
        try child.send(PipeDriver.run(1, "drill.exit", [3], embed: Self.embed))
        guard case .failure(let failure) = try child.outcome(of: 1) else { throw PipeDriver.Unexpected() }
        #expect((failure.type, failure.module) == (TaskFailure.unusableType, TaskFailure.unusableModule))
        #expect(failure.arguments.first?.string?.contains("errbacks, chain") == true)
        #expect(try child.result("drill.add", 2, 3) == .success(Array("5".utf8)))
    }

    @Test func itsEndIsSeenHoweverItComes() throws {
        let killed = try PipeDriver()
        try killed.run(1, "drill.kill", 9)
        #expect(try killed.end() == .signal(9))
        let terminated = try PipeDriver()
        terminated.signal(15)
        #expect(try terminated.end() == .signal(15))
        // Those before it in the batch are reported all the same.
        let exited = try PipeDriver()
        try exited.send(PipeDriver.run(1, "drill.add", [1, 1]), PipeDriver.run(2, "drill.exit", [3]))
        #expect(try exited.outcome(of: 1) == .success(Array("2".utf8)))
        #expect(try exited.end() == .exit(3))
    }
}
