import Testing

@testable import CoppiceWorkerProcess

@Suite struct RetryPolicyTests {
    /// Always the highest or the lowest number.
    struct Constant: RandomNumberGenerator {
        let value: UInt64
        mutating func next() -> UInt64 { value }
    }

    @Test func delays() {
        var lowest = Constant(value: 0)
        #expect(RetryPolicy.fixed(limit: 3, delay: .seconds(60)).seconds(afterRetries: 2, using: &lowest) == 60)
        let steady = RetryPolicy.exponential(limit: 9, base: .seconds(2), cap: .seconds(10), jitter: false)
        #expect((0...4).map { steady.seconds(afterRetries: $0, using: &lowest) } == [2, 4, 8, 10, 10])
        #expect(steady.seconds(afterRetries: .max, using: &lowest) == 10)
        #expect(RetryPolicy.none.limit == 0)
    }

    @Test func jitterIsFull() {
        let policy = RetryPolicy.exponential(limit: 9, base: .seconds(2), cap: .seconds(10))
        var lowest = Constant(value: 0)
        var highest = Constant(value: .max)
        #expect(policy.seconds(afterRetries: 1, using: &lowest) == 0)
        #expect(policy.seconds(afterRetries: 1, using: &highest) > 3.99)
        #expect(policy.seconds(afterRetries: 1, using: &highest) <= 4)
    }

    @Test func zeroDelaysStayZero() {
        var random = SystemRandomNumberGenerator()
        #expect(RetryPolicy.exponential(limit: 1, base: .zero).seconds(afterRetries: 5, using: &random) == 0)
    }
}
