import CoppiceShared
import CoppiceTransport
import Testing

@testable import CoppiceSupervisor

@Suite struct IntakeTests {
    private func inScene(concurrency: Int = 1, prefetchMultiplier: Int = 4, _ body: (IntakeScene) throws -> Void) throws {
        let scene = try IntakeScene(concurrency: concurrency, prefetchMultiplier: prefetchMultiplier)
        defer { #expect(throws: Never.self) { try scene.close() } }
        try body(scene)
    }

    private let plain = TaskDeclaration(name: "t")
    private let late = TaskDeclaration(name: "t", options: ["acks_late": true])
    private let strict = TaskDeclaration(name: "t", options: ["strict": true])

    /// The only child that has the task may have died while the take was under way.
    @Test func aTaskThatCameWhileNoChildWasReadyIsRecordedAsItsChildDeclaresIt() throws {
        for (declaration, step) in [(strict, Commit.Step.startEarly), (late, .keep)] {
            try inScene { scene in
                scene.take("1")
                scene.handOut()
                #expect(scene.intake.byAssignment.isEmpty, "no child is ready")
                scene.childIsReady(declaration)
                scene.handOut()
                #expect(scene.intake.byAssignment.isEmpty, "not before its record stands")
                scene.flush()
                #expect(scene.broker.received.map(\.step) == [step])
                scene.answer(declaration == late ? .begun(earlier: []) : .done)
                scene.handOut()
                #expect(scene.intake.byAssignment.count == 1)
            }
        }
    }

    /// Celery's beat sends it every day; no worker need have it.
    @Test func theDailyCleanupIsDoneAndCanvasIsRefusedByName() throws {
        try inScene { scene in
            scene.childIsReady(plain)
            scene.take("1", of: "celery.backend_cleanup")
            scene.take("2", of: "celery.chord_unlock")
            scene.take("3", of: "celery.nobodys")
            scene.flush()
            let reason = "celery.chord_unlock is a built-in task of Celery's canvas, which is not there yet"
            #expect(
                scene.broker.received.map(\.step) == [
                    .conclude, .setAside(reason: reason), .setAside(reason: "no worker here has the task celery.nobodys"),
                ])
            let records = scene.broker.received.flatMap(\.writes).map { try? JSONValue(parsing: $0.record) }
            #expect(records.map { $0?["status"]?.string } == ["SUCCESS", "FAILURE", "FAILURE"])
            #expect(records[1]?["result"]?["exc_message"] == [.string(reason)])
            #expect(records[2]?["result"]?["exc_type"] == "NotRegistered")
        }
    }

    @Test func noMoreIsTakenWhileWhatIsClaimedIsLong() throws {
        try inScene { scene in
            scene.childIsReady(plain)
            scene.take("1", size: 40 << 20)
            #expect(scene.intake.room == 3)
            scene.take("2", size: 24 << 20)
            #expect(scene.intake.room == 0)
            scene.handOut()
            scene.start()
            #expect(scene.intake.room == 3, "what runs is not claimed")
        }
    }

    /// RabbitMQ may not take what is to be sent on. The record that the end had, as RETRY, is not the last.
    @Test func whatSendsOnWhatIsRefusedIsADeadLetterWithAVerdict() throws {
        try inScene { scene in
            scene.childIsReady(plain)
            scene.take("1")
            scene.handOut()
            scene.start()
            scene.flush()
            scene.answer()
            scene.end(.reject(requeue: true, reason: "not now"))
            scene.flush()
            #expect(scene.broker.received.last?.step == .putBack(front: false))
            scene.answer(.refused("403 ACCESS_REFUSED"))
            scene.flush()
            let reason = "what it sends on can't be published: 403 ACCESS_REFUSED"
            #expect(scene.broker.received.last?.step == .setAside(reason: reason))
            let record = scene.broker.received.last?.writes.first.flatMap { try? JSONValue(parsing: $0.record) }
            #expect(record?["status"] == "FAILURE" && record?["result"]?["exc_message"]?.text.contains(reason) == true)
            #expect(scene.intake.unsettled == 1)
            scene.answer()
            #expect(scene.intake.unsettled == 0 && scene.intake.isSettled && scene.intake.claimed == 0)
        }
    }

    @Test func ofManyStatesThatAreNotSentTheLastIsKept() throws {
        try inScene { scene in
            scene.childIsReady(plain)
            scene.take("1")
            scene.handOut()
            scene.start()
            scene.flush()
            for number in 1...1000 { scene.intake.progressed(1, state: "PROGRESS", meta: Array("\(number)".utf8)) }
            scene.answer()
            scene.flush()
            #expect(scene.broker.received.count == 2)
            let record = scene.broker.received.last?.writes.first.flatMap { try? JSONValue(parsing: $0.record) }
            #expect(record?["result"] == .int(1000))
            // One that has been sent is out of reach: the next has a place of its own.
            scene.intake.progressed(1, state: "PROGRESS", meta: Array("7".utf8))
            scene.end()
            scene.answer()
            scene.flush()
            #expect(scene.broker.received.map(\.step) == [.startEarly, .keep, .keep, .conclude])
        }
    }

    @Test func whatAnEndOvertakesIsAnnouncedInItsOrder() throws {
        try inScene { scene in
            scene.childIsReady(plain)
            scene.take("1")
            scene.handOut()
            scene.start()
            scene.intake.progressed(1, state: "PROGRESS", meta: Array("5".utf8))
            scene.end()
            scene.flush()
            #expect(scene.broker.received.map(\.step) == [.conclude])
            let writes = scene.broker.received.first?.writes ?? []
            #expect(writes.map(\.state.name) == ["STARTED", "PROGRESS", "SUCCESS"])
            #expect(writes.map(\.reach) == [.announce, .announce, .storeAndAnnounce])
        }
    }

    /// A result store that is away confirms nothing, while the broker goes on giving messages.
    @Test func noMoreIsTakenWhenTooMuchWaitsForAnswers() throws {
        try inScene { scene in
            scene.childIsReady(plain)
            var taken = 0
            while scene.intake.room > 0, taken < 1000 {
                taken += 1
                scene.take("\(taken)")
                scene.handOut()
                scene.start()
                scene.end()
            }
            #expect(taken == 20, "four times the window and the children")
            scene.flush()
            scene.answer()
            #expect(scene.intake.room == 4 && scene.intake.isSettled)
        }
    }

    @Test func whatIsRevokedLeavesTheQueueThoughEveryChildIsBusy() throws {
        try inScene { scene in
            scene.childIsReady(plain)
            scene.take("1", "2", "3", "4")
            scene.handOut()
            scene.start()
            scene.handOut()
            #expect(scene.intake.revoke(["3", "1", "9"], signal: nil).isEmpty)
            scene.flush()
            #expect(scene.broker.received.map(\.step) == [.startEarly, .conclude])
            #expect(scene.broker.received.last?.taskID == "3")
            #expect(scene.broker.received.last?.writes.map(\.state.name) == ["REVOKED"])
            scene.end()
            scene.handOut()
            #expect(scene.intake.byAssignment.values.map(\.message.id) == ["2"])
        }
    }

    /// Strict: only for a child with nothing in hand.
    @Test func whatFindsNoPlaceHoldsUpNothingElse() throws {
        try inScene { scene in
            scene.childIsReady(plain, TaskDeclaration(name: "careful", options: ["strict": true]))
            scene.slot.child?.ahead = 16
            scene.slot.child?.ran(for: 0.001)
            scene.take("1")
            scene.handOut()
            scene.take("2", "3", of: "careful")
            scene.take("4")
            scene.handOut()
            #expect(scene.intake.byAssignment.values.map(\.message.id).sorted() == ["1", "4"])
            #expect(scene.intake.hasReady)
        }
    }

    /// The last child's end and a take's answer may come in one turn of the loop, before another child is spawned.
    @Test func aTaskIsUnknownOnlyToChildrenThatAreThere() throws {
        try inScene { scene in
            scene.childIsReady(plain)
            scene.take("1", of: "unheard of")
            scene.flush()
            #expect(scene.broker.received.map(\.step) == [.setAside(reason: "no worker here has the task unheard of")])
            scene.answer()
            try scene.close()
            scene.take("2")
            scene.handOut()
            #expect(scene.intake.outbox.isEmpty && scene.intake.hasReady)
        }
    }

    private let fresh = TaskDeclaration(name: "fresh")

    /// What a reload or recycling has started may have what no other child has.
    @Test func aTaskThatOnlyASuccessorMayHaveWaitsForIt() throws {
        try inScene(prefetchMultiplier: 1) { scene in
            scene.childIsReady(plain)
            let old = try #require(scene.slot.child)
            try scene.pool.replace(scene.slot, now: .now)
            scene.take("1", of: "fresh")
            scene.handOut()
            #expect(scene.intake.outbox.isEmpty && scene.intake.byAssignment.isEmpty)
            // It holds up nobody: others are taken, and run.
            #expect(scene.intake.room == 1 && !scene.intake.hasReady)
            scene.take("2")
            scene.handOut()
            #expect(scene.intake.byAssignment.values.map(\.message.id) == ["2"])
            scene.start()
            scene.end()

            _ = scene.slot.successor?.lifecycle.ready()
            scene.pool.succeed(in: scene.slot, now: .now)
            scene.childIsReady(plain, fresh)
            scene.handOut()
            #expect(scene.intake.byAssignment.values.map(\.message.id) == ["1"] && scene.intake.room == 0)
            scene.pool.kill(old, .shutdown)
        }
    }

    @Test func aTaskThatASuccessorDoesNotBringIsUnknown() throws {
        try inScene { scene in
            scene.childIsReady(plain)
            try scene.pool.replace(scene.slot, now: .now)
            scene.take("1", of: "fresh")
            scene.handOut()
            #expect(scene.intake.outbox.isEmpty)
            let first = try #require(scene.slot.successor)
            scene.slot.remove(first)
            // One that was spawned after it came does not count: with recycling there is always one.
            try scene.pool.replace(scene.slot, now: .now)
            scene.handOut()
            scene.flush()
            #expect(scene.broker.received.map(\.step) == [.setAside(reason: "no worker here has the task fresh")])
            first.process.discard()
        }
    }

    /// Three short tasks are in the child's hand, and the first has begun.
    private func recalling(_ body: (IntakeScene, Child) throws -> Void) throws {
        try inScene { scene in
            scene.childIsReady(plain)
            let child = try #require(scene.slot.child)
            child.ahead = 4
            child.ran(for: 0.001)
            scene.take("a", "b", "c")
            scene.handOut()
            begins(1, scene, child)
            scene.flush()
            scene.answer()
            try body(scene, child)
        }
    }

    @Test(arguments: [nil, 15] as [Int32?]) func whatIsRevokedWhileItLiesAheadIsRecalled(signal: Int32?) throws {
        try recalling { scene, child in
            #expect(scene.intake.revoke(["b"], signal: signal).isEmpty)
            #expect(child.recallSent && !child.lifecycle.isKilled)
            // The child is busy all the while.
            scene.pool.onFrame = { _, frame in if case .returned(let assignments) = frame { scene.intake.returned(assignments) } }
            scene.pool.accept(.returned(assignments: [2, 3]), from: child, now: .now)
            scene.flush()
            #expect(scene.broker.received.map(\.taskID) == ["a", "b"])
            #expect(scene.broker.received.last?.writes.map(\.state.name) == ["REVOKED"])
            #expect(scene.intake.ready.count == 1 && !child.recallSent)
        }
    }

    @Test func whatRunsIsNotRecalled() throws {
        try recalling { scene, child in
            #expect(scene.intake.revoke(["a"], signal: nil).isEmpty && !child.recallSent)
            child.ahead = 0
            #expect(scene.intake.revoke(["b"], signal: nil).isEmpty && !child.recallSent, "it does not understand")
        }
    }

    /// Two short tasks are in the child's hand; the end of the first is ordered before its start is heard of.
    private func revokingTheFirst(_ declaration: TaskDeclaration, _ body: (IntakeScene, Child) throws -> Void) throws {
        try inScene { scene in
            scene.childIsReady(declaration)
            let child = try #require(scene.slot.child)
            child.ahead = 4
            child.ran(for: 0.001)
            scene.take("a", "b")
            scene.handOut()
            scene.flush()
            scene.answer(.begun(earlier: []))
            scene.handOut()
            try #require(child.lifecycle.hand.assignments == [1, 2])
            #expect(scene.intake.revoke(["a"], signal: 15).isEmpty)
            try body(scene, child)
        }
    }

    private func begins(_ assignment: UInt64, _ scene: IntakeScene, _ child: Child) {
        _ = child.lifecycle.started(assignment)
        scene.intake.started(assignment, on: child)
    }

    private func ends(_ assignment: UInt64, _ scene: IntakeScene, _ child: Child) {
        _ = child.lifecycle.done(assignment)
        scene.intake.done(assignment, .success([0x31]))
    }

    @Test func aRevokedTaskThatIsDoneWithinTheTurnCostsNoOtherItsChild() throws {
        try revokingTheFirst(plain) { scene, child in
            begins(1, scene, child)
            ends(1, scene, child)
            begins(2, scene, child)
            scene.intake.endRevoked()
            #expect(!child.lifecycle.isKilled)
        }
        try revokingTheFirst(plain) { scene, child in
            begins(1, scene, child)
            scene.intake.endRevoked()
            #expect(child.lifecycle.isKilled)
        }
    }

    @Test func aTaskThatDiesInPlaceOfARevokedOneIsNotRevoked() throws {
        for declaration in [plain, late] {
            try revokingTheFirst(declaration) { scene, child in
                begins(1, scene, child)
                scene.intake.endRevoked()
                ends(1, scene, child)
                begins(2, scene, child)
                var life = child.lifecycle
                scene.intake.childEnded(Death(end: life.ended(), process: .signal(15), lived: 1))
                scene.flush()
                scene.answer()
                scene.flush()
                let steps = scene.broker.received.map(\.step)
                #expect(steps.last == (declaration == late ? .putBack(front: true) : .conclude), "\(steps)")
                let record = scene.broker.received.last?.writes.last.flatMap { try? JSONValue(parsing: $0.record) }
                if declaration == late {
                    #expect(record == nil)
                } else {
                    #expect(record?["status"] == "FAILURE" && record?["result"]?["exc_type"] == "WorkerLostError")
                }
            }
        }
    }

    @Test func aSuspectIsSaidToHaveHadLessMemoryOnlyIfItHad() throws {
        let returning = TaskDeclaration(name: "t", options: ["acks_late": true, "reject_on_worker_lost": true])
        for hadLess in [false, true] {
            try inScene { scene in
                scene.intake.live.poison.suspectMemory = 256 << 20
                scene.childIsReady(returning)
                scene.take("a")
                scene.handOut()
                scene.flush()
                scene.answer(.begun(earlier: [AttemptStory(node: "n", mark: "m", at: .now, end: "died")]))
                scene.handOut()
                scene.start()
                let child = try #require(scene.slot.child)
                child.ordinaryDataLimit = hadLess ? 1 << 30 : nil
                var life = child.lifecycle
                scene.intake.childEnded(Death(end: life.ended(), process: .signal(9), lived: 1))
                scene.flush()
                scene.answer()
                scene.flush()
                guard case .died(let story) = scene.broker.received.last?.attempt else {
                    Issue.record("\(scene.broker.received)")
                    return
                }
                #expect(story.end?.contains("as a suspect it was given 256 MiB") == hadLess)
            }
        }
    }
}
