import CoppiceShared
import CoppiceTransport
import Testing

@testable import CoppiceSupervisor

@Suite struct RevocationTableTests {
    private let start = MonotonicTime(nanoseconds: 1_000_000)

    @Test func idsAreKeptForTheirTime() {
        var table = RevocationTable()
        #expect(!table.contains("a"))
        table.insert("a", now: start)
        #expect(table.contains("a") && table.count == 1)
        table.insert("b", now: start.advanced(by: Double(Revocations.lifetime) - 1))
        #expect(table.contains("a"))
        table.insert("c", now: start.advanced(by: Double(Revocations.lifetime)))
        #expect(!table.contains("a") && table.contains("b") && table.contains("c"))
    }

    @Test func revokedAgainMeansKeptLonger() {
        var table = RevocationTable()
        table.insert("a", now: start)
        let again = start.advanced(by: 10)
        table.insert("a", now: again)
        #expect(table.count == 1)
        table.insert("b", now: start.advanced(by: Double(Revocations.lifetime) + 5))
        #expect(table.contains("a"))
        table.insert("c", now: again.advanced(by: Double(Revocations.lifetime)))
        #expect(!table.contains("a") && table.contains("b"))
    }

    @Test func theOldestGoAtTheLimit() {
        var table = RevocationTable()
        for number in 0..<Revocations.limit + 10 { table.insert("\(number)", now: start) }
        #expect(table.count == Revocations.limit)
        #expect(!table.contains("9") && table.contains("10") && table.contains("\(Revocations.limit + 9)"))
    }

    /// One id in one request twice, or in very many requests, pushes nothing else out.
    @Test func repetitionsTakeNoRoom() {
        var table = RevocationTable()
        table.insert("first", now: start)
        for _ in 0..<2 * Revocations.limit { table.insert("a", now: start) }
        #expect(table.contains("first") && table.contains("a"))
        for second in 0..<2 * Revocations.limit { table.insert("a", now: start.advanced(by: Double(second) / 1000)) }
        #expect(table.contains("first") && table.contains("a") && table.count == 2)
    }
}
