import Testing

@testable import CoppiceTransport

@Suite struct AckWindowTests {
    @Test func whatIsTogetherIsAcknowledgedTogether() {
        var window = AckWindow()
        for tag in 1...10 { window.delivered(UInt64(tag)) }
        #expect(text(window.acknowledge([1])) == "1")
        #expect(text(window.acknowledge([3, 2, 4])) == "4+")
        #expect(text(window.acknowledge([6, 8])) == "6 8")
        #expect(text(window.acknowledge([5, 10])) == "5 10")
        window.settle(7)
        #expect(text(window.acknowledge([9])) == "9")
    }

    /// A server's view of the same acknowledgements: exactly what was meant is gone.
    @Test func nothingElseIsEverAcknowledged() throws {
        for _ in 0..<300 {
            var window = AckWindow()
            var unacknowledged: Set<UInt64> = []
            var held: [UInt64] = []
            var last: UInt64 = 0
            for _ in 0..<200 {
                for _ in 0..<Int.random(in: 0...5) {
                    last += 1
                    window.delivered(last)
                    unacknowledged.insert(last)
                    held.append(last)
                }
                if let tag = held.indices.randomElement(), Int.random(in: 0..<4) == 0 {
                    window.settle(held[tag])
                    unacknowledged.remove(held.remove(at: tag))
                }
                var meant: [UInt64] = []
                for _ in 0..<Int.random(in: 0...6) {
                    guard let tag = (Bool.random() ? held.indices.first : held.indices.randomElement()) else { break }
                    meant.append(held.remove(at: tag))
                }
                let before = unacknowledged
                for (tag, multiple) in window.acknowledge(meant) {
                    // RabbitMQ closes the channel for a tag that it does not know.
                    try #require(unacknowledged.contains(tag))
                    if multiple { unacknowledged = unacknowledged.filter { $0 > tag } } else { unacknowledged.remove(tag) }
                }
                try #require(before.subtracting(unacknowledged) == Set(meant))
            }
        }
    }

    private func text(_ acks: [(tag: UInt64, multiple: Bool)]) -> String {
        acks.map { "\($0.tag)\($0.multiple ? "+" : "")" }.joined(separator: " ")
    }
}
