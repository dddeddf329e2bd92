import CoppiceTestSupport
import Testing

@testable import CoppiceYAML

@Suite struct YAMLDocumentTests {
    private func read(_ text: String) throws(YAMLError) -> YAMLNode? { try YAMLDocument.read(Array(text.utf8)) }

    private func problem(_ text: String) -> YAMLError? {
        do {
            _ = try read(text)
            return nil
        } catch { return error }
    }

    @Test func aSettingsFileIsATree() throws {
        let root = try #require(
            try read(
                """
                # a comment
                version: 1
                URL: redis://:p#w@h/0   # behind a value
                worker:
                  queues: [mail, "re: ports"]
                  concurrency: !!int 4
                queues: {celery: {}, plain: , 'none': ~, "tilde": "~"}
                text: |
                  two
                  lines
                """))
        let entries = try #require(root.mapping)
        #expect(entries.map(\.key) == ["version", "URL", "worker", "queues", "text"])
        #expect(entries.map(\.line) == [2, 3, 4, 7, 8])
        #expect(entries[0].value.text == "1")
        #expect(entries[1].value.text == "redis://:p#w@h/0")
        #expect(entries[2].value.mapping?[0].value.sequence?.map(\.text) == ["mail", "re: ports"])
        #expect(entries[2].value.mapping?[1].value.text == "4")
        #expect(entries[3].value.mapping?.map(\.value.isNull) == [false, true, true, false])
        #expect(entries[4].value.text == "two\nlines")
        #expect(root.text == nil && root.sequence == nil && entries[0].value.mapping == nil)
    }

    @Test(arguments: ["", "\n\n", "# nothing\n"]) func whereThereIsNothingThereIsNoRoot(_ text: String) throws {
        #expect(try read(text) == nil)
    }

    @Test func anAliasStandsForItsAnchorsValue() throws {
        let entries = try #require(try read("a: &x {b: [1, 2]}\nc: *x\n")?.mapping)
        #expect(entries[0].value == entries[1].value && entries[1].value.mapping?[0].value.sequence?.count == 2)
    }

    /// What is wrong, where, and never the text, which may hold a password.
    @Test(arguments: [
        ("URL: [hunter2\n", 2, "did not find expected ',' or ']', while parsing a flow sequence that begins in line 1"),
        ("a: 1\nb: hunter2: 3\n", 2, "mapping values are not allowed in this context"),
        ("a: 1\nhunter2\nc: 3\n", 3, "could not find expected ':', while scanning a simple key that begins in line 2"),
        ("a: 1\n  b: hunter2\n", 2, "mapping values are not allowed in this context"),
        ("a: \"hunter2\n\n", 3, "found unexpected end of stream, while scanning a quoted scalar that begins in line 1"),
        ("a: 1\n\thunter2: 1\n", 2, "found a tab character that violates indentation, while scanning a plain scalar that begins in line 1"),
        ("a: @hunter2\n", 1, "found character that cannot start any token, while scanning for the next token that begins in line 1"),
        ("a: %hunter2\n", 1, "found character that cannot start any token, while scanning for the next token that begins in line 1"),
        ("a: 1\nb: \u{1}hunter2\n", 2, "control characters are not allowed"),
        ("hunter2: 1\nb: 2\nhunter2: 3\n", 3, "a key that stands above already"),
        ("a: *hunter2\n", 1, "an alias whose anchor is not there"),
        ("a: &hunter2 [*hunter2]\n", 1, "an alias whose anchor is not there"),
        ("a: &x {b: 1}\nc:\n  <<: *x\n", 3, "merge keys (<<) are not read here"),
        ("a: 1\n---\nhunter2: 1\n", 3, "a second document begins; one is wanted"),
        ("[hunter2]: 1\n", 1, "a key is not plain text"),
    ]) func anErrorSaysItsLineAndWhatWasExpected(_ text: String, line: Int, problem: String) {
        #expect(self.problem(text) == YAMLError(line: line, problem: problem))
    }

    @Test func bytesThatAreNoTextAreAnError() {
        #expect(throws: YAMLError(line: 2, problem: "invalid leading UTF-8 octet")) {
            try YAMLDocument.read(Array("a: 1\nb: ".utf8) + [0xFF])
        }
    }

    @Test func depthAndSizeAreBounded() throws {
        let depth = YAMLDocument.deepest
        #expect(try read(String(repeating: "[", count: depth) + String(repeating: "]", count: depth)) != nil)
        #expect(problem(String(repeating: "[", count: depth + 1))?.problem == "nested too deeply")
        #expect(problem(String(repeating: "[", count: 1 << 20))?.problem == "nested too deeply")
        // Each line is ten of the one before.
        var bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n"
        for level in 1..<9 {
            let aliases = Array(repeating: "*a\(level - 1)", count: 10).joined(separator: ", ")
            bomb += "a\(level): &a\(level) [\(aliases)]\n"
        }
        #expect(problem(bomb) == YAMLError(line: 5, problem: "too many values"))
    }

    /// Whatever stands in the file, reading it ends with a tree or an error.
    @Test func brokenTextsEndInATreeOrAnError() {
        var random = SeededGenerator()
        let seed = random.seed
        let sound = Array("version: 1\nURL: \"redis://h\"\nworker: {app: &a /x, queues: [*a, 'b']}\ntext: |\n  x\n? k\n: v\n".utf8)
        var trees = 0
        for _ in 0..<2000 {
            var bytes = sound
            for _ in 0..<Int.random(in: 1...4, using: &random) {
                let index = Int.random(in: 0..<bytes.count, using: &random)
                switch Int.random(in: 0..<3, using: &random) {
                case 0: bytes[index] = UInt8.random(in: 0...255, using: &random)
                case 1: bytes.remove(at: index)
                default: bytes.insert(Array("[]{}:,&*#|>'\"%@`!? \n\t-".utf8).randomElement(using: &random) ?? 0, at: index)
                }
            }
            do {
                if try YAMLDocument.read(bytes) != nil { trees += 1 }
            } catch { #expect(error.line >= 1 && error.line <= 20, "seed \(seed)") }
        }
        #expect(trees > 100, "seed \(seed)")
    }
}
