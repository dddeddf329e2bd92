import Testing

@testable import CoppiceSupervisor

/// Every pattern against every text; what Python's fnmatchcase says of them.
@Suite struct GlobTests {
    private static let texts = [
        "", "a", "b", "x", "ax", "bx", "cx", "dx", "zx", "]x", "!x", "-x", "^x", "ex", "celery@host", "cy@hast", "aabbcc", "xaxbxcx", "*",
        "?", "[", "]", "[]", "[!]", "[a", "a]", "-", "!", "[-a]", "a[b", "ab", "w1", "ü1", "üx", "9x", "\\x", "_x", "acb", "abc",
    ]

    /// A pattern, and those of the texts that it matches.
    private static let table: [(String, [String])] = [
        ("?", ["a", "b", "x", "*", "?", "[", "]", "-", "!"]),
        ("", [""]),
        ("a", ["a"]),
        ("celery@*", ["celery@host"]),
        ("*@host", ["celery@host"]),
        ("c*y@h?st", ["celery@host", "cy@hast"]),
        ("[ab]x", ["ax", "bx"]),
        ("[!ab]x", ["cx", "dx", "zx", "]x", "!x", "-x", "^x", "ex", "üx", "9x", "\\x", "_x"]),
        ("[a-c]x", ["ax", "bx", "cx"]),
        ("[]a]x", ["ax", "]x"]),
        ("[!]a]x", ["bx", "cx", "dx", "zx", "!x", "-x", "^x", "ex", "üx", "9x", "\\x", "_x"]),
        ("[!]", ["[!]"]),
        ("[]", ["[]"]),
        ("[", ["["]),
        ("[a", ["[a"]),
        ("a]", ["a]"]),
        ("[a-]", ["a", "-"]),
        ("[-a]", ["a", "-"]),
        ("[--a]x", ["ax", "]x", "-x", "^x", "9x", "\\x", "_x"]),
        ("[z-a]x", []),
        ("[!z-a]x", ["ax", "bx", "cx", "dx", "zx", "]x", "!x", "-x", "^x", "ex", "üx", "9x", "\\x", "_x"]),
        ("[a-c-e]x", ["ax", "bx", "cx", "-x", "ex"]),
        ("*a*b*c*", ["aabbcc", "xaxbxcx", "abc"]),
        ("[*]", ["*"]),
        ("[?]", ["?"]),
        ("[[]", ["["]),
        ("a[b", ["a[b"]),
        ("[!a-c]x", ["dx", "zx", "]x", "!x", "-x", "^x", "ex", "üx", "9x", "\\x", "_x"]),
        ("[^a]x", ["ax", "^x"]),
        ("[a!]", ["a", "!"]),
        ("[a-bz]x", ["ax", "bx", "zx"]),
        ("[a-c", []),
        ("*[0-9]", ["w1", "ü1"]),
        ("ü?", ["ü1", "üx"]),
        ("[ü-z]x", []),
        ("[!]-a]x", ["bx", "cx", "dx", "zx", "!x", "-x", "ex", "üx", "9x", "\\x"]),
        ("[]-a]x", ["ax", "]x", "^x", "_x"]),
        ("[--]", ["-"]),
        ("[a--]", []),
        ("[a-z-9]x", ["ax", "bx", "cx", "dx", "zx", "-x", "ex", "9x"]),
    ]

    @Test func asPythonsFnmatch() {
        for (pattern, expected) in Self.table {
            #expect(Self.texts.filter { Glob.matches(pattern, $0) } == expected, "\(pattern)")
        }
        #expect(Self.texts.allSatisfy { Glob.matches("*", $0) && Glob.matches("**", $0) })
    }

    @Test func manyStarsEndSoon() {
        let text = String(repeating: "a", count: 500)
        #expect(!Glob.matches(String(repeating: "*a", count: 100) + "b", text))
        #expect(Glob.matches(String(repeating: "*a", count: 100) + "*", text))
    }
}
