import CoppiceResults
import CoppiceSQLite
import CoppiceShared
import CoppiceSystem
import CoppiceTransport
import Foundation
import Testing

/// What is particular to the embedded broker: its file, other processes' locks, its own bounds.
@Suite(.serialized) struct SQLiteBrokerTests {
    private func session(_ path: String, on stage: Stage) -> SessionSeat {
        let incarnation = Incarnation()
        let session = SQLiteBrokerSession(
            path: path, queues: ["celery"], node: "celery@test", incarnation: incarnation, holding: [], joinsResults: true,
            resultExpiry: 3600)
        return SessionSeat(stage, session, incarnation: incarnation)
    }

    // MARK: other writers

    @Test func aLockedFileDelaysOnlyWhatNeedsIt() throws {
        let fixture = try SQLiteFixture()
        let stage = Stage()
        let session = try session(fixture.path, on: stage).stand()
        let locker = try StoreFile.open(fixture.path)
        try locker.execute("BEGIN IMMEDIATE")
        let sender = fixture.makeSender()
        let seat = stage.add(sender) { sender.takeEvents() }
        for number in 0..<5 { sender.publish(.named("\(number)")) }
        session.session.take(upTo: 10)
        let store = try StoreSeat(stage, fixture.makeStore()).stand()
        #expect(try store.fetch("1") == nil, "reading needs no lock")
        stage.forgetTurns()
        let locked = 2.0
        try stage.pass(seconds: locked)
        if seat.popFirst({ if case .sent = $0 { true } else { nil } }) != nil { Issue.record("sent in spite of the lock") }
        #expect(stage.longestTurn < locked / 2, "a turn that waited for the lock would be as long as the lock")
        try locker.execute("ROLLBACK")
        for _ in 0..<5 { try seat.next("sent") { if case .sent = $0 { true } else { nil } } }
        // The take was before or behind the publications.
        var ids = try session.seat.next("taken") { if case .taken(let messages) = $0 { messages.map(\.id) } else { nil } }
        if ids.count < 5 { ids += try session.takeAll(5 - ids.count).map(\.id) }
        #expect(ids == ["0", "1", "2", "3", "4"])
    }

    @Test func aLongLockIsReportedOnceAndTakesNobodyForDead() throws {
        let fixture = try SQLiteFixture()
        let stage = Stage()
        let holder = try session(fixture.path, on: stage).stand()
        let observer = try session(fixture.path, on: stage).stand()
        try stage.pass(seconds: 1.5)
        let locker = try StoreFile.open(fixture.path)
        try locker.execute("BEGIN IMMEDIATE")
        try stage.pass(seconds: 8)
        try locker.execute("ROLLBACK")
        // Who comes first sees a counter that has not moved for eight seconds.
        try stage.pass(seconds: 2)
        for seat in [holder.seat, observer.seat] {
            var notices: [String] = []
            while let text = seat.popFirst({ if case .notice(let text) = $0 { text } else { nil } }) { notices.append(text) }
            #expect(notices.count == 1 && notices[0].contains("locked"))
        }
        let database = try StoreFile.open(fixture.path)
        let ids = [holder, observer].map(\.incarnation.id).sorted()
        var nodes: [String] = []
        try database.statement("SELECT incarnation FROM node WHERE id <= 2 ORDER BY incarnation").forEachRow { nodes.append($0.text(0)) }
        #expect(nodes == ids)
    }

    /// A writer that is stopped in the middle of a commit leaves the log's header half written, and its lock.
    @Test func aStoppedWriterStopsNobody() throws {
        let fixture = try SQLiteFixture()
        let stage = Stage()
        let session = try session(fixture.path, on: stage).stand()
        let writer = try StoreFile.open(fixture.path)
        try writer.execute("BEGIN IMMEDIATE")
        let header = try #require(FileHandle(forUpdatingAtPath: fixture.path + "-shm"))
        let counter: UInt64 = 8
        try header.seek(toOffset: counter)
        let before = try #require(try header.read(upToCount: 4))
        func write(_ bytes: Data) throws {
            try header.seek(toOffset: counter)
            try header.write(contentsOf: bytes)
        }
        try write(Data(before.map { ~$0 }))
        stage.forgetTurns()
        try stage.pass(seconds: 2)
        #expect(stage.longestTurn < 1)
        try write(before)
        try writer.execute("ROLLBACK")
        #expect(try session.take(1).isEmpty)
    }

    @Test func whoClosesWaitsForALockASecondAtMost() throws {
        let fixture = try SQLiteFixture()
        let stage = Stage()
        let session = try session(fixture.path, on: stage).stand()
        let locker = try StoreFile.open(fixture.path)
        try locker.execute("BEGIN IMMEDIATE")
        let start = MonotonicTime.now
        #expect(try session.close().contains("could not be signed off"))
        #expect(MonotonicTime.now.seconds(since: start) < 3)
    }

    // MARK: what is wrong with the file

    private func reason(_ path: String) throws -> String {
        let stage = Stage()
        let reason = try session(path, on: stage).lost()
        let sender = SQLiteMessageSender(path: path)
        let seat = stage.add(sender) { sender.takeEvents() }
        #expect(try seat.next("lost") { if case .lost(let reason) = $0 { reason } else { nil } } == reason)
        let store = SQLiteResultStore(path: path)
        let other = stage.add(store) { store.takeEvents() }
        #expect(try other.next("lost") { if case .lost(let reason) = $0 { reason } else { nil } } == reason)
        return reason
    }

    @Test func aPathThatCantBeWrittenIsNamed() throws {
        let folder = try TemporaryFolder()
        for path in [folder.file("missing/coppice.db"), folder.path, "/proc/coppice.db", "", "a\0b"] {
            let reason = try reason(path)
            #expect(reason.contains("can't open \(path)") && reason.contains("directory must exist"), "\(reason)")
        }
        #expect(!FileManager.default.fileExists(atPath: "a"), "made of what stands before the zero byte")
    }

    @Test func aFileThatIsNoDatabaseIsLeftAlone() throws {
        let folder = try TemporaryFolder()
        let path = folder.file("letter.txt")
        let text = Data(String(repeating: "Dear reader, this is a letter. ", count: 100).utf8)
        try text.write(to: URL(fileURLWithPath: path))
        #expect(try reason(path).contains("is no file of Coppice"))
        #expect(try Data(contentsOf: URL(fileURLWithPath: path)) == text)
    }

    @Test func anotherProgramsDatabaseIsLeftAlone() throws {
        let folder = try TemporaryFolder()
        let path = folder.file("other.db")
        try SQLiteDatabase(path: path).execute("CREATE TABLE letter (text)")
        let before = try Data(contentsOf: URL(fileURLWithPath: path))
        #expect(try reason(path).contains("belongs to another program"))
        #expect(try Data(contentsOf: URL(fileURLWithPath: path)) == before)
    }

    @Test func aNewerFormatIsRefused() throws {
        let fixture = try SQLiteFixture()
        try StoreFile.open(fixture.path).execute("PRAGMA user_version = 3")
        let reason = try reason(fixture.path)
        #expect(reason.contains("has format 3") && reason.contains("upgrade"), "\(reason)")
    }

    /// As after a copy was put back that is older than the program's upgrade, with its number only.
    @Test func anOlderNumberOnNewerTablesIsExplained() throws {
        let fixture = try SQLiteFixture()
        try StoreFile.open(fixture.path).execute("PRAGMA user_version = 1")
        let reason = try reason(fixture.path)
        #expect(reason.contains("says format 1") && reason.contains("'PRAGMA user_version = 2'"), "\(reason)")
    }

    /// Who goes on would write where nobody looks.
    @Test(arguments: [true, false]) func aFileThatIsTakenAwayIsNoticed(isReplaced: Bool) throws {
        let fixture = try SQLiteFixture()
        let stage = Stage()
        let first = try session(fixture.path, on: stage).stand()
        let other = fixture.path + "-other"
        if isReplaced { _ = try StoreFile.open(other) }
        for name in ["-wal", "-shm", ""] { try FileManager.default.removeItem(atPath: fixture.path + name) }
        if isReplaced { try FileManager.default.moveItem(atPath: other, toPath: fixture.path) }
        let start = MonotonicTime.now
        #expect(try first.lost().contains("was replaced or deleted while it was in use"))
        #expect(MonotonicTime.now.seconds(since: start) < 3)
        _ = try session(fixture.path, on: stage).stand()
    }

    @Test func whoOnlyLooksMakesNoFile() throws {
        let folder = try TemporaryFolder()
        let (missing, empty) = (folder.file("missing.db"), folder.file("empty.db"))
        try Data().write(to: URL(fileURLWithPath: empty))
        for path in [missing, empty, folder.file("no/folder.db")] {
            let stage = Stage()
            let operations = SQLiteQueueOperations(path: path)
            let caller = SQLiteControlCaller(path: path)
            let store = SQLiteResultStore(path: path, creates: false)
            let reasons: [String] = [
                try stage.add(operations) { operations.takeEvents() }.next("lost") {
                    if case .lost(let reason) = $0 { reason } else { nil }
                },
                try stage.add(caller) { caller.takeEvents() }.next("lost") { if case .lost(let reason) = $0 { reason } else { nil } },
                try stage.add(store) { store.takeEvents() }.next("lost") { if case .lost(let reason) = $0 { reason } else { nil } },
            ]
            for reason in reasons { #expect(reason.contains("\(path): no such file")) }
        }
        #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path) == ["empty.db"])
        #expect(try Data(contentsOf: URL(fileURLWithPath: empty)).isEmpty)
    }

    @Test func anEmptyFileIsTaken() throws {
        let folder = try TemporaryFolder()
        let path = folder.file("empty.db")
        try Data().write(to: URL(fileURLWithPath: path))
        let stage = Stage()
        _ = try session(path, on: stage).stand()
    }

    @Test func aNewFileIsNobodyElsesBusiness() throws {
        let fixture = try SQLiteFixture()
        let stage = Stage()
        _ = try session(fixture.path, on: stage).stand()
        for name in [fixture.path, fixture.path + "-wal", fixture.path + "-shm"] {
            let attributes = try FileManager.default.attributesOfItem(atPath: name)
            #expect((attributes[.posixPermissions] as? Int) == 0o600, "\(name)")
        }
    }

    @Test func manyMayMakeTheFileAtOnce() throws {
        let fixture = try SQLiteFixture()
        let stage = Stage()
        let sessions = (0..<5).map { _ in session(fixture.path, on: stage) }
        for session in sessions { _ = try session.stand() }
    }

    // MARK: disk full

    @Test func aFullDiskKeepsWhatWaits() throws {
        let fixture = try SQLiteFixture()
        let database = try StoreFile.open(fixture.path)
        let line = TransactionLine(path: fixture.path)
        var reports: [TransactionLine.Report] = []
        func turn(until done: () -> Bool) throws {
            let end = MonotonicTime.now.advanced(by: 10)
            while !done(), MonotonicTime.now < end {
                _ = try Poll.wait(line.interests, until: min(line.deadline ?? end, end))
                reports += line.run(now: .now)
            }
        }
        var wasCommitted = false
        // The page limit belongs to the connection; SQLite reports it as it does a disk without space.
        line.write { database throws(SQLiteError) in
            try database.execute("CREATE TABLE ballast (bytes)")
            return { wasCommitted = true }
        }
        try turn { wasCommitted }
        var limit = 1
        var tries = 0
        wasCommitted = false
        line.write { database throws(SQLiteError) in
            tries += 1
            _ = try database.statement("PRAGMA max_page_count = \(limit)").first { $0.int(0) }
            try database.statement("INSERT INTO ballast VALUES (zeroblob(1000000))").run()
            limit = 1_000_000
            return { wasCommitted = true }
        }
        line.read { _ throws(SQLiteError) in {} }
        try turn { tries == 2 }
        #expect(!wasCommitted)
        limit = 1_000_000
        try turn { wasCommitted }
        #expect(wasCommitted && tries == 3)
        func notices() -> [String] { reports.compactMap { if case .full(let text) = $0 { text } else { nil } } }
        #expect(notices().count == 1 && notices()[0].contains("no space left"), "\(notices())")
        #expect(try database.statement("SELECT count(*) FROM ballast").first { $0.int(0) } == 1)
        let relief = reports.compactMap { if case .notice(let text) = $0 { text } else { nil } }
        #expect(relief.count == 1 && relief[0].contains("can be written again"))
        // The next time is told as well.
        limit = 1
        tries = 0
        wasCommitted = false
        line.write { database throws(SQLiteError) in
            tries += 1
            _ = try database.statement("PRAGMA max_page_count = \(limit)").first { $0.int(0) }
            try database.statement("INSERT INTO ballast VALUES (zeroblob(1000000))").run()
            return { wasCommitted = true }
        }
        try turn { tries == 1 }
        limit = 1_000_000
        try turn { wasCommitted }
        #expect(notices().count == 2)
    }

    // MARK: early orders

    @Test func storesTakeOrdersBeforeTheyStand() throws {
        let fixture = try SQLiteFixture()
        let stage = Stage()
        let store = StoreSeat(stage, fixture.makeStore())
        store.store.store([.named("1", .success, "1")], as: 1)
        store.store.fetch("1")
        #expect(try store.stand().record("1") == .init(state: "SUCCESS", result: 1))
        if case .stored? = store.seat.inbox.first {} else { Issue.record("no .stored before the record") }
    }

    // MARK: the file's format

    @Test func aFileOfTheFirstFormatIsBroughtUpToDate() throws {
        let fixture = try SQLiteFixture()
        try fixture.plant(Array("as it was".utf8), in: "celery")
        let old = try StoreFile.open(fixture.path)
        try old.execute(
            """
            DROP TABLE revoked; DROP TABLE attempt; DROP TABLE claim; ALTER TABLE dead DROP COLUMN deaths; PRAGMA user_version = 1
            """)
        let stage = Stage()
        let session = try session(fixture.path, on: stage).stand()
        session.session.revoke(["1"])
        let message = try #require(try session.takeAll(1).first)
        #expect(try session.commit(message, .setAside(reason: "as it is")))
        #expect(try fixture.count("revoked") == 1 && fixture.count("claim") == 0)
        #expect(try fixture.deadLetters().map(\.reason) == ["as it is"])
    }

    // MARK: what the file refuses

    @Test func attemptsWithGapsAndDamageStopNobody() throws {
        let fixture = try SQLiteFixture()
        let stage = Stage()
        let session = try session(fixture.path, on: stage).stand()
        try fixture.execute("INSERT INTO attempt (task, number, at, story) VALUES ('1', 2, 4e15, x'00'), ('1', 3, 4e15, x'00')")
        try fixture.plant(Array("1".utf8), in: "celery")
        let message = try #require(try session.takeAll(1).first)
        let story = AttemptStory(node: "n", mark: message.tag.value, at: .now)
        let verdicts = try session.verdicts([
            Commit(message.tag, queue: message.queue, .keep, taskID: "1", attempt: .begins(story))
        ])
        #expect(verdicts == [.begun(earlier: [])])
        #expect(try fixture.count("attempt") == 3)
    }

    @Test func whatTheFileRefusesTakesNothingElseAlong() throws {
        let fixture = try SQLiteFixture()
        let stage = Stage()
        let session = try session(fixture.path, on: stage).stand()
        try fixture.execute(
            "CREATE TRIGGER refusal BEFORE INSERT ON result WHEN NEW.task = 'bad' BEGIN SELECT RAISE(ABORT, 'not this one'); END")
        for number in 0..<3 { try fixture.plant(Array("\(number)".utf8), in: "celery") }
        let taken = try session.takeAll(3)
        let verdicts = try session.verdicts(
            zip(taken, ["first", "bad", "last"]).map { message, task in
                Commit(
                    message.tag, queue: message.queue, .conclude, taskID: task, writes: [.named(task, .success)],
                    publications: [.named(task, queue: "next")])
            })
        #expect(verdicts == [.done, .void, .done])
        let notices = session.seat.inbox.compactMap { if case .notice(let text) = $0 { text } else { nil } }
        #expect(notices.count == 1 && notices[0].contains("bad") && notices[0].contains("not this one"))
        #expect(try fixture.count("result") == 2)
        #expect(try fixture.count("waiting") == 2, "nothing is sent on without its result")
        #expect(try fixture.count("held") == 1)
    }

    // MARK: bounds

    @Test func aTakeOfLargeMessagesEndsEarlyAndRings() throws {
        let fixture = try SQLiteFixture()
        let stage = Stage()
        let session = try session(fixture.path, on: stage).stand()
        for _ in 0..<3 { try fixture.plant([0], in: "celery") }
        try fixture.execute("UPDATE message SET raw = zeroblob(40 * 1024 * 1024)")
        try session.rang()
        #expect(try session.take(10).count == 2)
        try session.rang()
        #expect(try session.take(10).count == 1)
    }

    @Test func aFloodOfDeadLettersIsNoLongTurn() throws {
        let fixture = try SQLiteFixture()
        let stage = Stage()
        let session = try session(fixture.path, on: stage).stand()
        try fixture.execute(
            """
            WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 10000)
            INSERT INTO dead (queue, reason, died, body) SELECT 'celery', '', 0, zeroblob(100) FROM n
            """)
        try fixture.execute(
            """
            WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1500)
            INSERT INTO message (queue, step, raw) SELECT 'celery', 0, x'00' FROM n;
            INSERT INTO waiting SELECT queue, step, id, id FROM message
            """)
        let taken = try session.takeAll(1500)
        stage.forgetTurns()
        try session.commit(taken.map { Commit($0.tag, queue: $0.queue, .setAside(reason: "")) })
        #expect(stage.longestTurn < 0.8)
        #expect(try fixture.count("dead") == 10_000)
    }

    @Test func nothingIsLeftBehindByMessagesThatAreDone() throws {
        let fixture = try SQLiteFixture()
        let stage = Stage()
        let session = try session(fixture.path, on: stage).stand()
        for number in 0..<6 { try fixture.plant(Array("\(number)".utf8), in: "celery") }
        let taken = try session.takeAll(6)
        let steps: [Commit.Step] = [
            .conclude, .startEarly, .park(until: .now), .putBack(front: true), .putBack(front: false), .setAside(reason: ""),
        ]
        try session.commit(zip(taken, steps).map { Commit($0.tag, queue: $0.queue, $1) })
        try session.commit(taken[1], .conclude)
        for message in try session.takeAll(3) { try session.commit(message, .conclude) }
        #expect(try session.close() == "closed")
        for table in ["message", "waiting", "parked", "held", "node"] { #expect(try fixture.count(table) == 0, "\(table)") }
    }

    @Test func expiredResultsAreSweptAndNotShown() throws {
        let fixture = try SQLiteFixture()
        let stage = Stage()
        let brief = try StoreSeat(stage, SQLiteResultStore(path: fixture.path, expiry: 0)).stand()
        try brief.put((0..<20).map { .named("\($0)", .success) })
        #expect(try brief.fetch("1") == nil)
        #expect(try fixture.count("result") < 20)
        let store = try StoreSeat(stage, fixture.makeStore()).stand()
        try store.put([.named("1", .failure)])
        #expect(try store.fetch("1")?.state == "FAILURE", "an expired SUCCESS stands in nobody's way")
        try store.put((100..<130).map { .named("\($0)", .success) })
        #expect(try fixture.count("result") == 31)
    }

    @Test func oldControlRequestsAreSwept() throws {
        let fixture = try SQLiteFixture()
        let database = try StoreFile.open(fixture.path)
        let old = Int(WallTime.now.advanced(by: -61).microseconds)
        try database.execute("INSERT INTO control (created, body) VALUES (\(old), x'00')")
        try database.execute("INSERT INTO reply (created, ticket, body) VALUES (\(old), 't', x'00')")
        let stage = Stage()
        let session = try session(fixture.path, on: stage).stand()
        session.session.reply(ControlReply(exchange: "e", routingKey: "k", ticket: "t2", body: [0]))
        #expect(try session.take(1).isEmpty)
        #expect(try fixture.count("control") == 0)
        #expect(try fixture.count("reply") == 1)
    }

    @Test func anIdleSessionRests() throws {
        let fixture = try SQLiteFixture()
        let stage = Stage()
        let session = try session(fixture.path, on: stage).stand()
        _ = try self.session(fixture.path, on: stage).stand()
        try fixture.plant([0], in: "celery")
        try session.rang()
        var turns = 0
        let end = MonotonicTime.now.advanced(by: 3)
        while MonotonicTime.now < end {
            try stage.turn(until: end)
            turns += 1
        }
        // Each second: a beat, the look that it asks for, the slow look, and the other's writes; not more.
        #expect(turns < 60, "\(turns) turns in three seconds")
        var rings = 0
        while session.seat.popFirst({ if case .rang = $0 { true } else { nil } }) != nil { rings += 1 }
        #expect(rings == 0, "said once, until somebody asks")
    }
}
