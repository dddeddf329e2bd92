import CoppiceShared
import CoppiceTestSupport
import Testing

@Suite struct JSONTests {
    @Test(arguments: [
        "null", "true", "false", "0", "-0.0", "12", "-7", "1.5", "1e+16", "[]", "{}", "\"\"", "NaN", "Infinity", "-Infinity",
        "123456789012345678901234567890", "[1, [2, {\"a\": null}]]", "{\"b\": 1, \"a\": [true]}", "\"\\u00e9\\ud83d\\ude00\"",
        "9223372036854775807", "-9223372036854775808", "9223372036854775808",
    ])
    func textComesBackAsItWas(_ text: String) throws {
        #expect(try JSONValue(parsing: Array(text.utf8)).text == text)
        try JSONScanner.check(Array(text.utf8))
    }

    @Test(arguments: [
        "", " ", "nul", "tru", "[1,]", "[,1]", "{\"a\"}", "{\"a\":}", "{a:1}", "{\"a\":1,}", "[1 2]", "01", "1.", ".5", "1e", "-", "\"",
        "\"\\x\"", "\"\\u12\"", "\"\u{1}\"", "1 2", "]", "[1", "{\"a\":1", "'a'", "nan", "+1",
    ])
    func badTextIsRefused(_ text: String) {
        #expect(throws: JSONError.self) { try JSONValue(parsing: Array(text.utf8)) }
        #expect(throws: JSONError.self) { try JSONScanner.check(Array(text.utf8)) }
    }

    @Test func pythonsDialect() throws {
        let value = try JSONValue(parsing: Array(#"{"n": NaN, "i": [Infinity, -Infinity], "s": "\ud800x", "a": 1, "a": 2}"#.utf8))
        guard case .double(let nan) = value["n"] else {
            Issue.record("NaN is no double")
            return
        }
        #expect(nan.isNaN)
        #expect(value["i"] == [.double(.infinity), .double(-.infinity)])
        #expect(value["s"] == "\u{FFFD}x")
        #expect(value["a"] == 2)
    }

    @Test func depthIsCapped() throws {
        func nested(_ depth: Int) -> [UInt8] { Array((String(repeating: "[", count: depth) + String(repeating: "]", count: depth)).utf8) }
        _ = try JSONValue(parsing: nested(500))
        #expect(throws: JSONError.self) { try JSONValue(parsing: nested(100_000)) }
        #expect(throws: JSONError.self) { try JSONScanner.check(nested(100_000)) }
    }

    @Test func textThatIsNotUTF8IsRefused() {
        #expect(throws: JSONError.self) { try JSONValue(parsing: [0x22, 0xFF, 0x22]) }
    }

    @Test func randomValuesComeBack() throws {
        var random = SeededGenerator()
        for _ in 0..<300 {
            let value = Self.value(&random, depth: 0)
            #expect(try JSONValue(parsing: value.bytes) == value, "seed \(random.seed)")
        }
    }

    @Test func damagedTextIsAnErrorOrAnotherValue() {
        var random = SeededGenerator()
        for _ in 0..<2000 {
            var bytes = Self.value(&random, depth: 0).bytes
            for _ in 0..<Int.random(in: 1...3, using: &random) {
                bytes[Int.random(in: bytes.indices, using: &random)] = UInt8.random(in: .min ... .max, using: &random)
            }
            // What the tree can hold, the scanner must let pass: the master scans what a child parses.
            let parsed = try? JSONValue(parsing: bytes)
            if parsed != nil { #expect((try? JSONScanner.check(bytes)) != nil, "seed \(random.seed)") }
        }
    }

    private static func value(_ random: inout SeededGenerator, depth: Int) -> JSONValue {
        switch Int.random(in: 0...(depth > 3 ? 4 : 6), using: &random) {
        case 0: return .null
        case 1: return .bool(.random(using: &random))
        case 2: return .int(.random(in: .min ... .max, using: &random))
        case 3: return .double(Double.random(in: -1e6...1e6, using: &random))
        case 4: return .string(string(&random))
        case 5: return .array((0..<Int.random(in: 0...4, using: &random)).map { _ in value(&random, depth: depth + 1) })
        default:
            var object = JSONObject()
            for index in 0..<Int.random(in: 0...4, using: &random) {
                object.append("\(index)" + string(&random), value(&random, depth: depth + 1))
            }
            return .object(object)
        }
    }

    private static func string(_ random: inout SeededGenerator) -> String {
        let scalars: [Unicode.Scalar] = ["a", "\"", "\\", "\n", "\u{0}", "é", "😀", "/", "\u{7F}", "\u{FFFF}"]
        var out = ""
        for _ in 0..<Int.random(in: 0...6, using: &random) { out.unicodeScalars.append(scalars.randomElement(using: &random) ?? "a") }
        return out
    }
}
