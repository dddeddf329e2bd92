#if !FUZZER
    import CoppiceShared
    import CoppiceSystem
    import CoppiceTestSupport
    import Foundation
    import Testing

    /// The decoders under what nobody thought of. `make fuzz` does it for longer, and led by the code's own branches.
    @Suite(.serialized) struct FuzzTests {
        private static let folder = URL(filePath: #filePath).deletingLastPathComponent()

        /// What libFuzzer found worth keeping, and every input that once broke something.
        static func corpus() throws -> [(name: String, input: [UInt8])] {
            let folder = folder.appending(path: "corpus")
            return try FileManager.default.contentsOfDirectory(atPath: folder.path).sorted().map { name in
                (name, Array(try Data(contentsOf: folder.appending(path: name))))
            }
        }

        @Test func theCorpusHolds() throws {
            let corpus = try Self.corpus()
            #expect(corpus.count > 50)
            for (name, input) in corpus { #expect(throws: Never.self, "\(name)") { try FuzzedDecoder.check(input) } }
        }

        /// COPPICE_FUZZ_SECONDS: for how long; COPPICE_FUZZ_SEED: the seed of an earlier run.
        @Test func whatIsMadeOfTheCorpusHolds() throws {
            let seconds = CurrentProcess.environment("COPPICE_FUZZ_SECONDS").flatMap(Double.init) ?? 10
            let seed = CurrentProcess.environment("COPPICE_FUZZ_SEED").flatMap(UInt64.init) ?? .random(in: .min ... .max)
            print("fuzzing for \(seconds) s, COPPICE_FUZZ_SEED=\(seed)")
            var generator = InputGenerator(seeds: try Self.corpus().map(\.input), seed: seed)
            let end = MonotonicTime.now.advanced(by: seconds)
            // A trap leaves no time to say what did it: the input lies here from before it is tried.
            let trial = FileManager.default.temporaryDirectory.appending(path: "coppice-fuzz-\(CurrentProcess.id)")
            let file = try Descriptor.open(trial.path, flags: O_CREAT | O_WRONLY, mode: 0o600)
            defer { try? FileManager.default.removeItem(at: trial) }
            var count = 0
            while MonotonicTime.now < end {
                let input = generator.next()
                pwrite(file.raw, input, input.count, 0)
                ftruncate(file.raw, off_t(input.count))
                let begun = MonotonicTime.now
                do { try FuzzedDecoder.check(input) } catch { try Self.keep(input, seed, error.description) }
                // Debug code on a busy machine; what is not linear takes far longer.
                if MonotonicTime.now.seconds(since: begun) > 5 { try Self.keep(input, seed, "more than five seconds") }
                count += 1
            }
            print("\(count) inputs")
            #expect(count > 100)
        }

        private static func keep(_ input: [UInt8], _ seed: UInt64, _ what: String) throws {
            let name = "broken-\(seed)-\(input.count)"
            try Data(input).write(to: folder.appending(path: "corpus").appending(path: name))
            Issue.record("\(what); seed \(seed); the input is Tests/fuzz/corpus/\(name)")
        }

        /// A quarter of a megabyte of each, in debug code: what needs time by the square takes minutes.
        @Test(arguments: [
            "[", "{\"a\":", "[[],", "\"\\u0041", "{\"a\":1,", "1", "\\", "*", "[!", "a,", "=", "\u{00E9}",
        ]) func timeGrowsWithLength(_ piece: String) throws {
            let unit = Array(piece.utf8)
            var bytes: [UInt8] = []
            while bytes.count < 1 << 18 { bytes += unit }
            let text = JSONValue.string(String(decoding: bytes, as: UTF8.self)).bytes
            let request = Array("{\"method\": \"m\", \"matcher\": \"glob\", \"pattern\": ".utf8) + text + [UInt8(ascii: "}")]
            let inArray = [UInt8(ascii: "[")] + bytes + [UInt8(ascii: "]")]
            let envelope =
                Array("{\"headers\": {\"task\": \"t\", \"id\": \"i\", \"x\": ".utf8) + bytes + Array("}, \"body\": ".utf8) + text
                + [UInt8(ascii: "}")]
            let begun = MonotonicTime.now
            for decoder in FuzzedDecoder.allCases {
                for input in [bytes, inArray, request, envelope] { try decoder.check(input) }
            }
            #expect(MonotonicTime.now.seconds(since: begun) < 60)
        }
    }
#endif
