import Testing

@testable import CoppiceTransport

@Suite struct RedisTopicPatternTests {
    /// Recorded from kombu 5.7.
    @Test(arguments: [
        ("a.#", #"^a\..*?$"#), ("a.*.c", #"^a\.[^\.]+\.c$"#), ("#", "^.*?$"), ("*", #"^[^\.]+$"#), ("x-y_z.1", #"^x\-y_z\.1$"#), ("", "^$"),
        ("a..b", #"^a\.\.b$"#),
    ])
    func aKeyIsStoredAsKombuStoresIt(_ key: String, _ stored: String) { #expect(RedisTopicPattern.stored(key) == stored) }

    @Test(arguments: [
        ("a.#", "a.b", true), ("a.#", "a.", true), ("a.#", "a", false), ("a.#", "a.b.c", true), ("a.#", "ab.c", false),
        ("a.*.c", "a.b.c", true), ("a.*.c", "a..c", false), ("a.*.c", "a.b.b.c", false), ("a.*.c", "a.b.c.", false),
        ("#", "", true), ("#", "x.y", true), ("*", "", false), ("*", "x", true), ("*", "x.y", false), ("#.b", "a.b", true),
        ("#.b", "b", false),
        ("a.*", "a.ü", true), ("a.#.z", "a.b.z", true), ("a.#.z", "a..z", true), ("a.#.z", "a.z", false), ("x-y", "x-y", true),
        ("x-y", "xzy", false),
    ])
    func asPythonsReWouldMatch(_ key: String, _ text: String, _ wanted: Bool) throws {
        #expect(try #require(RedisTopicPattern(RedisTopicPattern.stored(key))).matches(text) == wanted)
    }

    /// As kombu before 5.5 stored `*` and words.
    @Test func olderFormsAreRead() throws {
        let pattern = try #require(RedisTopicPattern(#"^a-b\..*?[^\.]\.c$"#))
        #expect(pattern.matches("a-b.x.c") && pattern.matches("a-b.xy.c") && !pattern.matches("a-b..c"))
    }

    @Test(arguments: ["", "^", "$", "a", "^(a|b)$", "^a+$", "^[a-z]$", #"^\d$"#, #"^a\$"#, "^a.b$", "^a*$", "^^$"])
    func whatKombuDoesNotWriteIsNotRead(_ stored: String) { #expect(RedisTopicPattern(stored) == nil) }

    /// Many wildcards and a long key take their product of steps, not a power.
    @Test func hostilePatternsEnd() throws {
        let pattern = try #require(RedisTopicPattern("^" + String(repeating: ".*?a", count: 200) + "$"))
        #expect(!pattern.matches(String(repeating: "a", count: 199) + String(repeating: "b", count: 500)))
    }
}
