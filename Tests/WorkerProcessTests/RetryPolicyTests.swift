import Testing

@testable import CoppiceWorkerProcess

@Suite struct RetryPolicyTests {
    @Test func delays() {
        var random = SystemRandomNumberGenerator()
        #expect(RetryPolicy.fixed(limit: 3, delay: .seconds(60)).seconds(afterRetries: 2, using: &random) == 60)
        let steady = RetryPolicy.exponential(limit: 9, base: .seconds(2), cap: .seconds(10), jitter: false)
        #expect((0...4).map { steady.seconds(afterRetries: $0, using: &random) } == [2, 4, 8, 10, 10])
        #expect(steady.seconds(afterRetries: .max, using: &random) == 10)
        #expect(RetryPolicy.none.limit == 0)
    }

    @Test func jitterIsFull() {
        let policy = RetryPolicy.exponential(limit: 9, base: .seconds(2), cap: .seconds(10))
        var random = SystemRandomNumberGenerator()
        let delays = (0..<1000).map { _ in policy.seconds(afterRetries: 1, using: &random) }
        #expect(delays.allSatisfy { (0...4).contains($0) })
        // The chance that a thousand miss either end is one in 10^45.
        #expect(delays.contains { $0 < 0.4 } && delays.contains { $0 > 3.6 })
    }

    @Test func zeroDelaysStayZero() {
        var random = SystemRandomNumberGenerator()
        #expect(RetryPolicy.exponential(limit: 1, base: .zero).seconds(afterRetries: 5, using: &random) == 0)
    }
}
