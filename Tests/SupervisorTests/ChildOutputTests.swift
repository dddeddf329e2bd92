import CoppiceSystem
import CoppiceTestSupport
import Testing

@testable import CoppiceSupervisor

/// Lines and marks, however they are cut into reads.
@Suite(.timeLimit(.minutes(1))) struct ChildOutputTests {
    private struct Line: Equatable, CustomStringConvertible {
        var text: String
        var owner: UInt64
        init(_ text: String, _ owner: UInt64) {
            self.text = text
            self.owner = owner
        }
        var description: String { "\(owner): \(text.prefix(60))" }
    }

    /// What is said of `pieces`, each of which is read by itself; assignments 1 to 9 are known.
    private func lines(_ pieces: [String]) throws -> [Line] {
        let pipe = try Descriptor.pipe()
        try pipe.read.setNonBlocking()
        let output = ChildOutput(pipe.read, .standardOutput)
        var lines: [Line] = []
        for piece in pieces {
            try Descriptor.write(all: Array(piece.utf8), to: pipe.write.raw)
            #expect(try output.receive(limit: 1 << 20, isKnown: { $0 < 10 }) { lines.append(Line($0, $1)) })
        }
        pipe.write.close()
        #expect(try !output.receive(isKnown: { $0 < 10 }) { lines.append(Line($0, $1)) })
        return lines
    }

    private func mark(_ number: Int) -> String { "\u{1e}\(number)\u{1f}" }

    @Test func marksSayWhoseLinesTheyAre() throws {
        let text = "early\n\(mark(4))four\nand four\n\(mark(0))between\n\(mark(5))five, unfinished\(mark(0))\(mark(6))six"
        let expected = [
            Line("early", 0), Line("four", 4), Line("and four", 4), Line("between", 0), Line("five, unfinished", 5), Line("six", 6),
        ]
        #expect(try lines([text]) == expected)
        #expect(try lines(text.map(String.init)) == expected)
    }

    @Test func whatIsNoMarkIsText() throws {
        for text in ["\u{1e}", "\u{1e}12", "\u{1e}x\u{1f}", "\u{1e}\u{1f}", "\u{1e}99\u{1f}y", "\u{1e}123456789012345678901234\u{1f}"] {
            #expect(try lines([text + "\n" + mark(3) + "three\n"]) == [Line(text, 0), Line("three", 3)])
        }
        #expect(try lines(["a\u{1e}\(mark(3))b\n"]) == [Line("a\u{1e}", 0), Line("b", 3)])
    }

    @Test func aMarkThatComesLateIsOver() throws {
        #expect(try lines([mark(5) + "five\n" + mark(4) + "still five\n"]) == [Line("five", 5), Line("still five", 5)])
    }

    @Test func emptyLinesAndCarriageReturns() throws {
        #expect(try lines(["\n\na\r\n\r\n"]) == [Line("", 0), Line("", 0), Line("a", 0), Line("", 0)])
    }

    @Test func longLinesAreBrokenBetweenCharacters() throws {
        // A character of three bytes: 8192 is not a multiple of it.
        let text = String(repeating: "漢", count: 10_000)
        let found = try lines([text, "\nend\n"])
        #expect(found.dropLast().map(\.text).joined() == text)
        #expect(found.allSatisfy { $0.text.utf8.count <= ChildOutput.longestLine && !$0.text.contains("\u{fffd}") })
        #expect(found.last == Line("end", 0))
    }

    /// Bytes that begin marks and are none, in every mixture, cut anywhere: all of it comes out, in lines that are never longer, and no more
    /// than one line's worth is held back.
    @Test(arguments: ["\u{1e}", "\u{1e}1\u{1e}2", "\u{1e}12345678901234567890", "a\u{1e}9\u{1e}\u{1f}"], [true, false])
    func whatBeginsMarksForEverIsBroken(_ unit: String, _ isMixed: Bool) throws {
        var random = SeededGenerator(seed: 1)
        let alphabet = isMixed ? [unit, unit, unit, "漢", "x", "\u{1e}7"] : [unit]
        let text = String((0..<40_000).map { _ in alphabet[Int.random(in: 0..<alphabet.count, using: &random)] }.joined())
        let pipe = try Descriptor.pipe()
        try pipe.read.setNonBlocking()
        let output = ChildOutput(pipe.read, .standardOutput)
        var said: [String] = []
        var count = 0
        let bytes = Array(text.utf8)
        var start = 0
        while start < bytes.count {
            let end = min(bytes.count, start + Int.random(in: 1...5000, using: &random))
            try Descriptor.write(all: Array(bytes[start..<end]), to: pipe.write.raw)
            #expect(
                try output.receive(limit: 1 << 20, isKnown: { _ in false }) { line, _ in
                    said.append(line)
                    count += line.utf8.count
                })
            start = end
            #expect(start - count <= ChildOutput.longestLine + 32)
        }
        try Descriptor.write(all: [UInt8(ascii: "\n")], to: pipe.write.raw)
        #expect(try output.receive(limit: 1 << 20, isKnown: { _ in false }) { line, _ in said.append(line) })
        #expect(said.allSatisfy { $0.utf8.count <= ChildOutput.longestLine })
        #expect(said.joined() == text)
    }
}
