import CoppiceNames
import CoppiceShared
import CoppiceSystem
import Testing

@Suite struct HostLookupTests {
    /// Turns until the outcome is there, or a second more than a look-up may take.
    private func finish(_ lookup: HostLookup) throws -> Result<[SocketAddress], LookupError>? {
        let end = MonotonicTime.now.advanced(by: HostLookup.timeout + 1)
        while lookup.outcome == nil, MonotonicTime.now < end { try Poll.turn([lookup], until: end) }
        return lookup.outcome
    }

    @Test(arguments: [
        ("127.0.0.1", "127.0.0.1:6379"), ("::1", "[::1]:6379"), ("2001:db8::10", "[2001:db8::10]:6379"),
    ]) func aNumberIsAnsweredAtOnce(host: String, expected: String) throws {
        let lookup = HostLookup(host: host, port: 6379)
        #expect(try lookup.outcome?.get().map(\.description) == [expected])
        #expect(lookup.interests.isEmpty && lookup.deadline == nil)
    }

    @Test func theHostsFileIsRead() throws {
        let addresses = try #require(try finish(HostLookup(host: "localhost", port: 80))).get().map(\.description)
        #expect(addresses.contains("127.0.0.1:80"))
    }

    @Test(arguments: ["no-such-host.invalid", "", "a\0b", "-", String(repeating: "a", count: 300)])
    func aNameWithoutAddressIsAnError(host: String) throws {
        let outcome = try #require(try finish(HostLookup(host: host, port: 80)))
        #expect(throws: LookupError.self) { try outcome.get() }
    }

    @Test func aLookupMayBeDroppedUnfinished() {
        for _ in 0..<20 { _ = HostLookup(host: "no-such-host.invalid", port: 80) }
    }

    @Test func unixPathsThatDoNotFitAreRefused() {
        #expect(SocketAddress.unix("/run/redis.sock")?.description == "/run/redis.sock")
        #expect(SocketAddress.unix(String(repeating: "x", count: 107)) != nil)
        #expect(SocketAddress.unix(String(repeating: "x", count: 108)) == nil)
        #expect(SocketAddress.unix("") == nil)
    }
}
