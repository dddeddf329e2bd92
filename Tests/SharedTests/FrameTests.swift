import CoppiceShared
import CoppiceTestSupport
import Testing

@Suite struct FrameTests {
    static let down: [DownFrame] = [
        .hello(.init(slot: 3, node: "celery@host", heartbeat: 1000, settings: ["max_retries": 5, "timezone": "Asia/Shanghai"])),
        .hello(.init(version: 9, slot: .max, node: "", heartbeat: 0, settings: JSONObject())),
        .run(RunFrame(assignment: 7, id: "id", name: "example.add", body: Array("[[2, 3], {}, {}]".utf8))),
        .run(
            RunFrame(
                assignment: .max, id: "ü", name: "n", retries: 4, headers: Array("{\"a\": 1}".utf8), contentType: "x/y",
                compression: "application/x-gzip", queue: "q", priority: 9, redelivered: true, bodyIsBase64: true, body: [0, 255])),
        .cancel(assignment: 1, reason: .softTimeLimit), .cancel(assignment: 2, reason: .revoked), .recall, .stop,
    ]

    static let failure = TaskFailure(type: "ValueError", module: "builtins", arguments: ["bad", 42, nil], traceback: "Traceback\n")

    static let up: [UpFrame] = [
        .ready(.init(ahead: 64, beats: true, recalls: false, tasks: [])),
        .ready(
            .init(
                ahead: 0, beats: false, recalls: true,
                tasks: [TaskDeclaration(name: "a", options: ["acks_late": true, "time_limit": 1.5]), TaskDeclaration(name: "b")])),
        .call(assignment: 1, arguments: Array("[2, 3]".utf8), keywords: Array("{}".utf8)), .started(assignment: 1),
        .state(assignment: 2, name: "PROGRESS", meta: Array("{\"current\": 1}".utf8)),
        .log(assignment: 0, level: .debug, text: ""), .log(assignment: 3, level: .error, text: "é"), .heartbeat(assignment: .max),
        .returned(assignments: []), .returned(assignments: [1, 2, .max]), .done(assignment: 1, outcome: .success(Array("5".utf8))),
        .done(assignment: 1, outcome: .failure(failure)),
        .done(assignment: 1, outcome: .failure(TaskFailure(type: "E", module: "m", arguments: []))),
        .done(assignment: 1, outcome: .retry(delay: 1.5, because: failure)), .done(assignment: 1, outcome: .ignore),
        .done(assignment: 1, outcome: .reject(requeue: true, reason: "r")),
        .done(assignment: 1, outcome: .reject(requeue: false, reason: "")), .pledge(assignment: 9, seconds: 0.25),
        .canvas(assignment: 1, parts: ["chain", "callbacks"]), .canvas(assignment: 2, parts: []), .runtime(assignment: 1, seconds: 0.005),
    ]

    @Test(arguments: down) func downFramesComeBack(_ frame: DownFrame) throws {
        var decoder = FrameDecoder()
        decoder.append(frame.encoded)
        let (kind, payload) = try #require(try decoder.next())
        #expect(try DownFrame(kind: kind, payload: payload) == frame)
        #expect(decoder.pending == 0)
    }

    @Test(arguments: up) func upFramesComeBack(_ frame: UpFrame) throws {
        var decoder = FrameDecoder()
        decoder.append(frame.encoded)
        let (kind, payload) = try #require(try decoder.next())
        #expect(try UpFrame(kind: kind, payload: payload) == frame)
        #expect(decoder.pending == 0)
    }

    @Test func framesComeBackHoweverTheStreamIsCut() throws {
        var random = SeededGenerator()
        for _ in 0..<200 {
            let frames = (0..<20).map { _ in Self.up.randomElement(using: &random) ?? .recallAnswer }
            let stream = frames.flatMap(\.encoded)
            var decoder = FrameDecoder()
            var decoded: [UpFrame] = []
            var position = 0
            while position < stream.count {
                let end = min(stream.count, position + Int.random(in: 1...40, using: &random))
                decoder.append(stream[position..<end])
                position = end
                while let (kind, payload) = try decoder.next() { decoded.append(try UpFrame(kind: kind, payload: payload)) }
            }
            #expect(decoded == frames, "seed \(random.seed)")
        }
    }

    /// Every field reaches up to the end of what is left, so that each shorter payload lacks something.
    @Test(arguments: up) func aFrameThatEndsTooEarlyIsAnError(_ frame: UpFrame) throws {
        let bytes = frame.encoded
        for count in 0..<bytes.count - 5 {
            #expect(throws: FrameError.self) { try UpFrame(kind: bytes[4], payload: ByteReader(bytes, in: 5..<5 + count)) }
        }
        #expect(throws: FrameError.trailing) { try UpFrame(kind: bytes[4], payload: ByteReader(Array(bytes[5...]) + [0])) }
    }

    @Test func damagedStreamsAreErrorsOrOtherFrames() {
        var random = SeededGenerator()
        for _ in 0..<2000 {
            var stream = (Self.up.randomElement(using: &random) ?? .recallAnswer).encoded
            stream[Int.random(in: stream.indices, using: &random)] ^= 1 << UInt8.random(in: 0..<8, using: &random)
            var decoder = FrameDecoder()
            decoder.append(stream)
            // It must end, and without a trap.
            while let (kind, payload) = try? decoder.next() {
                _ = try? UpFrame(kind: kind, payload: payload)
                _ = try? DownFrame(kind: kind, payload: payload)
            }
            #expect(decoder.pending <= stream.count, "seed \(random.seed)")
        }
    }

    @Test func lengthsAreChecked() {
        var tooLong = FrameDecoder()
        tooLong.append([0xFF, 0xFF, 0xFF, 0xFF])
        #expect(throws: FrameError.tooLong(0xFFFF_FFFF)) { try tooLong.next() }
        var empty = FrameDecoder()
        empty.append([0, 0, 0, 0])
        #expect(throws: FrameError.empty) { try empty.next() }
    }

    @Test(arguments: [0, -1, .nan, .infinity]) func aPledgeIsANumberOfSeconds(_ seconds: Double) {
        let bytes = UpFrame.pledge(assignment: 1, seconds: seconds).encoded
        #expect(throws: FrameError.badValue("pledge")) { try UpFrame(kind: bytes[4], payload: ByteReader(bytes, in: 5..<bytes.count)) }
    }

    @Test func whatIsNotJSONDoesNotPass() {
        func refuses(_ frame: UpFrame) {
            let bytes = frame.encoded
            #expect(throws: FrameError.self) { try UpFrame(kind: bytes[4], payload: ByteReader(bytes, in: 5..<bytes.count)) }
        }
        refuses(.state(assignment: 1, name: "S", meta: Array("{".utf8)))
        refuses(.done(assignment: 1, outcome: .success(Array("1 2".utf8))))
        // A string with a byte that is not UTF-8: clients could not read the record.
        let foreign: [UInt8] = [0x22, 0xE4, 0x22]
        refuses(.state(assignment: 1, name: "S", meta: foreign))
        refuses(.done(assignment: 1, outcome: .success(foreign)))
        refuses(.call(assignment: 1, arguments: [0x5B] + foreign + [0x5D], keywords: Array("{}".utf8)))
        refuses(.done(assignment: 1, outcome: .retry(delay: -1, because: Self.failure)))
        refuses(.done(assignment: 1, outcome: .retry(delay: .nan, because: Self.failure)))
    }
}

extension UpFrame {
    fileprivate static let recallAnswer = UpFrame.returned(assignments: [])
}
